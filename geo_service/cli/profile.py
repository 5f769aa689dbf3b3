"""``profile``: the rules a verdict is given by, every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from geo_service.cli import _terminal as terminal


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("profile")(profile)


def profile(
    name: Annotated[
        str, typer.Argument(help="规则方案名或 .toml · A rule profile, or a .toml")
    ] = "default",
    as_json: terminal.AsJson = False,
) -> None:
    """规则方案 · Show every rule of a profile, its version and digest."""
    from geo_service import profiles

    chosen = profiles.load(name)
    rules = profiles.to_dict(chosen)
    if as_json:
        terminal.print_json({**rules, "known": profiles.known()})
        return
    rows = [(key, _told(value)) for key, value in _flat(rules)]
    title = f"{chosen.label} {chosen.digest}"
    columns = (terminal.say("规则", "rule"), terminal.say("值", "value"))
    terminal.out().print(terminal.table(title, columns, rows))
    known = ", ".join(profiles.known())
    terminal.out().print(terminal.say(f"内置方案：{known}", f"Shipped: {known}"), markup=False)


def _flat(rules: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in rules.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{above}{key}.")
        elif value not in (None, ""):
            rows.append((above + key, value))
    return rows


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
