"""``fields``, and the options ``--map`` and ``--author``: how a sender names the columns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import InputError, Phrase

Sender = Annotated[
    str,
    typer.Option(help="报送人或单位；其 --map 会被记住 · Who sends it; their --map is remembered"),
]
Map = Annotated[list[str] | None, typer.Option("--map", help="字段=列 · field=column, repeatable")]


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("fields")(fields)


def fields(
    sender: Annotated[str, typer.Option(help="报送单位或人 · Person or department")] = "",
    map_: Map = None,
    forget: Annotated[bool, typer.Option("--forget", help="忘记 · Forget this sender")] = False,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """字段对应 · What is remembered of each sender's columns; change it with --map, or --forget."""
    from geo_service.store import open_store

    if (map_ or forget) and not sender:
        raise InputError("parameter_missing", name="--sender")
    with open_store(terminal.store_path(store)) as opened:
        if forget:
            opened.remember_fields(sender, {})
        elif map_:
            opened.remember_fields(sender, {**opened.fields_of(sender), **mapping(map_)})
        known = opened.senders()
    if as_json:
        terminal.print_json(known)
        return
    columns = [
        terminal.say(*pair) for pair in (("报送", "sender"), ("字段", "field"), ("列", "column"))
    ]
    rows = [(who, field, column) for who, pairs in known.items() for field, column in pairs.items()]
    terminal.out().print(terminal.table(terminal.say("字段对应", "fields"), columns, rows))


def remembered(path: str, sender: str) -> dict[str, str]:
    """What a store remembers of a sender's columns; nothing where there is no store."""
    from geo_service.store import open_store

    if not sender or not Path(path).exists():
        return {}
    with open_store(path) as opened:
        return opened.fields_of(sender)


def mapping(pairs: list[str] | None) -> dict[str, str]:
    """Field -> column of ``--map`` options.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    given: dict[str, str] = {}
    for pair in pairs or ():
        field, sign, column = pair.partition("=")
        if not sign or not field or not column:
            reason = Phrase(
                "请写成 字段=列，如 code=XYZ", "write it as field=column, e.g. code=XYZ"
            )
            raise InputError("parameter_invalid", name="--map", value=pair, reason=reason)
        given[field.strip()] = column.strip()
    return given
