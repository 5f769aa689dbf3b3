"""``statement``: what a layer was on a day, signed, and whether the store still says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import InputError, MissingError, Phrase

if TYPE_CHECKING:
    from geo_service.statements import Difference

_DIFFERENCES_SHOWN = 40


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("statement")(statement)


def statement(
    layer: Annotated[str | None, typer.Option(help="图层 · Which layer")] = None,
    at: Annotated[str | None, typer.Option(help="修订号或日期 · As of a revision or date")] = None,
    profile: Annotated[
        str | None, typer.Option(help="规则方案，默认用发布时的 · Rules, else those of then")
    ] = None,
    register_file: Annotated[
        Path | None, typer.Option("--register", help="登记表 · Register, for the share on the map")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="密钥文件，用于 HMAC · A key file, for an HMAC")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="核对声明 · A statement to compare with the store")
    ] = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """数据声明 · State what a layer was, for auditors; or verify such a statement."""
    from geo_service import registers, statements
    from geo_service.store import open_store

    if (layer is None) == (verify is None):
        reason = Phrase(
            "请用 --layer 指明要声明的图层，或用 --verify 给出要核验的声明",
            "name a layer to state, or a statement to verify",
        )
        raise InputError("parameter_invalid", name="--layer", value=layer or "", reason=reason)
    codes = None if register_file is None else list(registers.read(register_file).frame["code"])
    secret = None if key is None else _key(key)
    with open_store(terminal.store_path(store)) as opened:
        if verify is not None:
            stated = statements.read(verify)
            with terminal.progress("核对", "verifying", quiet=as_json):
                found = statements.verify(
                    opened, stated, profile=profile, register=codes, key=secret
                )
            return _verified(verify, found, as_json=as_json)
        assert layer is not None
        with terminal.progress("检查", "checking", quiet=as_json):
            made = statements.make(
                opened, layer, at=at, profile=profile, register=codes, key=secret
            )
    if output is not None:
        statements.write(made, output)
    if as_json:
        terminal.print_json(made)
        return 0
    revision, check = made["revision"], made["check"]
    rows = [
        (terminal.say("修订", "revision"), f"r{revision['number']} · {revision['published_at']}"),
        (terminal.say("要素", "features"), revision["features"]),
        (terminal.say("结论", "verdict"), check["verdict"]),
        (terminal.say("覆盖率 %", "coverage, %"), check["coverage_percent"] or "—"),
        (terminal.say("落图率 %", "on the map, %"), check["on_map_percent"] or "—"),
        (terminal.say("内容 SHA-256", "content SHA-256"), made["content_recomputed_sha256"]),
        (terminal.say("声明 SHA-256", "statement SHA-256"), made["signature"]["sha256"]),
        ("", str(output or "")),
    ]
    terminal.out().print(terminal.table(layer, ("", ""), rows))
    return 0


def _key(path: Path) -> bytes:
    if not path.is_file():
        raise MissingError("file_missing", file=str(path))
    return path.read_bytes().strip()


def _verified(path: Path, found: list[Difference], *, as_json: bool) -> int:
    if as_json:
        differences = [asdict(difference) for difference in found]
        terminal.print_json({"equal": not found, "differences": differences})
    else:
        console, say = terminal.out(), terminal.say
        zh = f"{path.name}：{'与数据库一致' if not found else f'有 {len(found)} 处不同'}"
        en = f"{path.name}: {'equal to the store' if not found else f'{len(found)} differences'}"
        console.print(say(zh, en), style="bold", markup=False)
        for difference in found[:_DIFFERENCES_SHOWN]:
            told = f"· {difference.where}: {difference.stated!s} ≠ {difference.found!s}"
            console.print(told, markup=False)
    return terminal.FOUND_FAULTS if found else 0
