"""``key`` and ``audit``: who may use the service, and what they wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from geo_service.cli import _terminal as terminal
from geo_service.store import open_store

_ROLES_ZH = {"viewer": "查看", "planner": "规划", "publisher": "发布", "admin": "管理"}


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    key = app.group("key", "API 密钥 · API keys")
    key("add")(add)
    key("list")(list_keys)
    key("revoke")(revoke)
    app.command("audit")(audit)


def add(
    name: Annotated[str, typer.Argument(help="给谁 · Who gets it")],
    role: Annotated[str, typer.Option(help="角色 · viewer, planner, publisher, admin")] = "viewer",
    area: Annotated[
        list[str] | None,
        typer.Option(help="规划人员的辖区代码，可多次 · A planner's area, may be repeated"),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="到期日 · Last day, e.g. 2027-12-31")] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """新建密钥，只显示这一次 · Make a key; it is shown this once."""
    with open_store(terminal.store_path(store)) as opened:
        made, secret = opened.add_key(name, role=role, areas=area or (), expires_at=expires)
    if as_json:
        terminal.print_json({**made.to_dict(), "key": secret})
        return
    console = terminal.out()
    console.print(
        terminal.say("请现在保存，以后无法再显示：", "Keep it now, nobody can show it again:")
    )
    console.print(secret, markup=False)


def list_keys(store: terminal.StorePath = None, as_json: terminal.AsJson = False) -> None:
    """列出密钥 · List the keys."""
    with open_store(terminal.store_path(store)) as opened:
        keys = opened.api_keys()
    if as_json:
        terminal.print_json({"keys": [key.to_dict() for key in keys]})
        return
    zh = {"valid": "有效", "revoked": "已停用", "expired": "已过期"}
    rows = [
        (
            key.prefix,
            key.name,
            terminal.say(_ROLES_ZH[key.role], key.role),
            ", ".join(key.areas),
            (key.expires_at or "")[:10],
            terminal.say(zh[key.state], key.state),
        )
        for key in keys
    ]
    columns = (
        ("前缀", "给谁", "角色", "辖区", "到期", "状态")
        if terminal.say("zh", "en") == "zh"
        else ("prefix", "name", "role", "areas", "expires", "state")
    )
    terminal.out().print(terminal.table(terminal.say("密钥", "Keys"), columns, rows))


def revoke(
    prefix: Annotated[str, typer.Argument(help="密钥前缀 · What the key begins with")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """停用密钥，一秒内生效 · Revoke a key; it is shut out within a second."""
    with open_store(terminal.store_path(store)) as opened:
        key = opened.revoke_key(prefix)
    if as_json:
        terminal.print_json(key.to_dict())
    else:
        said = terminal.say(f"已停用 {key.prefix}", f"Revoked {key.prefix}")
        terminal.out().print(f"{said} ({key.name})", markup=False)


def audit(
    since: Annotated[
        str | None, typer.Option(help="从何时起 · Since a date or moment, UTC")
    ] = None,
    who: Annotated[str | None, typer.Option(help="只看一个人 · Only one person")] = None,
    limit: Annotated[int, typer.Option(min=1, help="最多行数 · At most so many lines")] = 100,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """审计记录 · Who wrote what, when and from where."""
    with open_store(terminal.store_path(store)) as opened:
        lines = opened.audit_log(since=since, who=who, limit=limit)
    if as_json:
        terminal.print_json({"audit": [line.to_dict() for line in lines]})
        return
    columns = (
        ("时间", "谁", "角色", "从哪里", "做了什么", "对象")
        if terminal.say("zh", "en") == "zh"
        else ("when", "who", "role", "from", "did", "to")
    )
    rows = [(e.at[:19], e.who, e.role, e.origin, e.action, e.what) for e in lines]
    terminal.out().print(terminal.table(terminal.say("审计", "Audit log"), columns, rows))
