"""What every command shares: options, machine and human output, progress, refusals."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from geo_service.cli import _usage
from geo_service.errors import GeoServiceError, InputError, Phrase, language

Command = Callable[..., int | None]
OnProgress = Callable[..., None]
"""Called with the share done (0 to 1) and, where it is known, what is being done."""

FOUND_FAULTS = 1
BAD_INPUT = 2
INTERRUPTED = 130

StorePath = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="数据库：GeoPackage 文件 · The store, a GeoPackage file "
        "[$GEO_SERVICE_STORE, else ./city.gpkg]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="机器可读输出 · Machine form on stdout")]
Author = Annotated[str, typer.Option(envvar="GEO_SERVICE_AUTHOR", help="操作人 · Who does it")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="写到文件 · Write to this file")
]


class App:
    """The command line: typer's parsing with our exit codes."""

    def __init__(self) -> None:
        self.typer = typer.Typer(
            name="geo-service",
            help="划网格、查覆盖、找归属、算步行圈、选站点 · "
            "Draw grids, prove coverage, find a point's grid, walk, site facilities",
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
        )
        self.typer.callback()(_version)

    def command(self, name: str) -> Callable[[Command], Command]:
        """Register a function as a command; the number it returns is the exit code."""
        return _registered(self.typer, name)

    def group(self, name: str, description: str) -> Callable[[str], Callable[[Command], Command]]:
        """Add a family of sub-commands, and give what registers one."""
        family = typer.Typer(help=description, no_args_is_help=True, rich_markup_mode=None)
        self.typer.add_typer(family, name=name)
        return lambda member: _registered(family, member)

    def run(self, arguments: Sequence[str]) -> int:
        """Run one command line; its exit code is the result.

        Raises
        ------
        InputError
            ``command_invalid``.
        """
        try:
            code = self.typer(list(arguments), prog_name="geo-service", standalone_mode=False)
        except _UsageError as error:
            return _refuse_usage(error)
        except typer.Abort:
            return INTERRUPTED
        return code if isinstance(code, int) else 0


# typer keeps its own copy of click's class, and shows only what refines it.
_UsageError: Any = typer.BadParameter.__base__


def _refuse_usage(error: Any) -> int:
    command = error.ctx.command_path if error.ctx else "geo-service"
    message = error.format_message()
    if message.startswith("Usage:"):  # nothing was given: the help says what could be
        error.show()
        return BAD_INPUT
    raise InputError("command_invalid", reason=_usage.why(message), command=command) from error


def _registered(family: typer.Typer, name: str) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **options: Any) -> None:
            try:
                code = command(*args, **options)
                sys.stdout.flush()
            except BrokenPipeError:  # the reader (head, less) has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                code = 0
            raise typer.Exit(code or 0)

        family.command(name, cls=_usage.Command)(run)
        return command

    return add


def _tell_version(asked: bool) -> None:
    if asked:
        from geo_service import __version__

        print(f"geo-service {__version__}")
        raise typer.Exit


def _version(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="版本 · Version"),
    ] = False,
) -> None:
    """Options of the program itself."""


class _Answers(Console):
    """A console that leaves it to the command when its reader has seen enough."""

    def on_broken_pipe(self) -> None:
        raise


def out() -> Console:
    """The console that answers are written to."""
    return _Answers(highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """The console that progress and refusals are written to."""
    return Console(stderr=True, highlight=False)


def say(zh: str, en: str) -> str:
    """The text in the reader's language."""
    return zh if language() == "zh" else en


def print_json(payload: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write the machine form: one JSON document on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(payload, default=_plain, option=options).decode() + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Phrase):
        return value._asdict()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def fail(error: GeoServiceError, *, as_json: bool) -> int:
    """Tell a refusal: one sentence to people, the stable code to machines."""
    if as_json:
        message = {"zh": error.message("zh"), "en": error.message("en")}
        print_json({"error": {"code": error.code, "message": message, "details": error.details}})
    console = err()
    console.print(say("错误", "Error"), style="bold red", end=" ")
    console.print(f"[{error.code}] {error.message(language())}", markup=False, soft_wrap=True)
    return BAD_INPUT


def store_path(given: str | None) -> str:
    """The store a command works on."""
    return given or os.environ.get("GEO_SERVICE_STORE") or "city.gpkg"


def table(title: str, columns: Iterable[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    return shown


_HEADS_ZH = {
    "id": "编号", "layer": "图层", "state": "状态", "features": "图形数", "source": "来源",
    "author": "操作人", "created_at": "时间", "number": "修订", "published_at": "发布时间",
    "message": "说明", "sha256": "校验值", "coverage_percent": "覆盖率 %", "area_m2": "面积 m²",
    "grids": "网格数",
}  # fmt: skip


def heads(names: Iterable[str]) -> list[str]:
    """Columns by the words of the reader's language; one without a word keeps its name."""
    if language() != "zh":
        return [name.replace("_", " ") for name in names]
    from geo_service import facilities, layers

    fields = {field.name: field.zh for field in layers.FIELDS}
    kinds = {code: kind.zh for code, kind in facilities.kinds().items()}
    known = {**kinds, **fields, **_HEADS_ZH}
    return [known.get(name, name) for name in names]


@contextmanager
def progress(zh: str, en: str, *, quiet: bool = False) -> Iterator[OnProgress]:
    """Show a bar on a terminal; elsewhere nothing."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda share, what="": None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(say(zh, en), total=1.0)

        def advance(share: float, what: str = "") -> None:
            bar.update(task, completed=share, description=what or say(zh, en))

        yield advance


def number(text: str, *, name: str) -> float:
    """A number out of a composite option such as ``X,Y``.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            "parameter_invalid", name=name, value=text, reason=Phrase("不是数字", "not a number")
        ) from error


def lonlat(text: str, *, name: str) -> tuple[float, float]:
    """Longitude and latitude out of ``X,Y``.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    parts = text.replace("，", ",").split(",")
    if len(parts) != 2:
        reason = Phrase(
            "请写 经度,纬度，如 113.85,34.03", "give longitude,latitude, e.g. 113.85,34.03"
        )
        raise InputError("parameter_invalid", name=name, value=text, reason=reason)
    return number(parts[0], name=name), number(parts[1], name=name)


def codes(text: str) -> list[str]:
    """Read codes separated by commas, of either script."""
    return [code.strip() for code in text.replace("，", ",").split(",") if code.strip()]


def numbers(text: str, *, name: str) -> list[float]:
    """Numbers out of a list such as ``5,10,15``."""
    return [number(part, name=name) for part in text.replace("，", ",").split(",") if part.strip()]
