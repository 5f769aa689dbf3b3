"""What an operator sets: environment variables, read once, in one typed place.

``docs/settings.md`` is this table as a page (`page`); a test compares the two.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from geo_service.errors import InputError, Phrase

PREFIX = "GEO_SERVICE_"


def _text(given: str) -> str:
    return given.strip()


def _names(given: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.split(",") if part.strip())


def _port(given: str) -> int:
    number = int(given)
    if not 0 <= number <= 65535:
        raise ValueError("0 - 65535")
    return number


def _count(given: str) -> int:
    number = int(given)
    if number < 1:
        raise ValueError("1 or more")
    return number


def _one_of(*known: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given.strip() not in known:
            raise ValueError(f"one of {', '.join(name or '(empty)' for name in known)}")
        return given.strip()

    return read


def _origins(given: str) -> tuple[str, ...]:
    for origin in _names(given):
        if "://" not in origin or origin.endswith("/"):
            raise ValueError("origins such as https://map.example.cn, without a path")
    return _names(given)


def _file(given: str) -> str:
    if given.strip() and not Path(given.strip()).is_file():
        raise ValueError("no such file")
    return given.strip()


def _https(given: str) -> str:
    issuer = given.strip()
    host = issuer.partition("://")[2].partition("/")[0].partition(":")[0]
    if issuer and not issuer.startswith("https://") and not is_loopback(host):
        raise ValueError("an https:// address")
    return issuer.rstrip("/")


def _setting(default: Any, read: Callable[[str], Any], zh: str, en: str) -> Any:
    return field(default=default, metadata={"read": read, "zh": zh, "en": en})


@dataclass(frozen=True)
class Settings:
    """The settings of the service; each field's variable is its name in capitals with a prefix."""

    store: str = _setting(
        "city.gpkg",
        _text,
        "数据库：文件或 postgresql:// 地址",
        "The store: a file or a postgresql:// URL",
    )
    streets: str = _setting(
        "", _file, "路网文件，代替数据库里的", "The walk network's file, instead of the store's own"
    )
    host: str = _setting(
        "127.0.0.1", _text, "监听地址；非本机地址需先有密钥",
        "Address to listen on; beyond this machine only where keys exist",
    )  # fmt: skip
    port: int = _setting(8000, _port, "端口", "Port")
    workers: int = _setting(1, _count, "进程数", "Processes that answer")
    hosts: tuple[str, ...] = _setting(
        (), _names, "对外域名，逗号分隔；其他域名的请求一律拒绝",
        "Domain names the service answers to, by comma; requests for others are refused",
    )  # fmt: skip
    origins: tuple[str, ...] = _setting(
        (), _origins, "允许跨域读取的网页来源，逗号分隔；默认不允许",
        "Origins of pages that may call the API from elsewhere (CORS), by comma; none by default",
    )  # fmt: skip
    anonymous: str = _setting(
        "", _one_of("", "viewer"), "有密钥后，没带密钥的人是什么角色：viewer，或空（拒绝）",
        "Once keys exist, the role of callers without one: viewer, or empty (refused)",
    )  # fmt: skip
    rate_per_minute: int = _setting(
        6000, _count, "每个密钥每分钟的请求数；一次最多连发十分之一",
        "Requests a minute of one key; a tenth of it may come at once",
    )  # fmt: skip
    proxies: str = _setting(
        "127.0.0.1", _text, "可信反向代理的地址；只有它们的 X-Forwarded-* 才算数",
        "Addresses of reverse proxies whose X-Forwarded-* headers are believed",
    )  # fmt: skip
    tls_certificate: str = _setting("", _file, "TLS 证书文件（PEM）", "TLS certificate file (PEM)")
    tls_key: str = _setting("", _file, "TLS 私钥文件（PEM）", "TLS private key file (PEM)")
    oidc_issuer: str = _setting(
        "", _https, "统一身份认证（OIDC）的签发者地址；空则不用",
        "Issuer of OpenID Connect tokens for people; empty: off",
    )  # fmt: skip
    oidc_audience: str = _setting(
        "geo-service", _text, "令牌的受众 aud", "The audience (aud) that tokens must name"
    )
    oidc_role_claim: str = _setting(
        "geo_service_role", _text, "令牌中写角色的字段", "The claim that holds the role"
    )
    oidc_areas_claim: str = _setting(
        "geo_service_areas",
        _text,
        "令牌中写辖区代码的字段",
        "The claim that holds a planner's areas",
    )
    log: str = _setting(
        "", _one_of("", "json", "text"), "日志：json 每请求一行，text 只记事件；空则看是否终端",
        "json: a line per request; text: events only; empty: text on a terminal, else json",
    )  # fmt: skip
    stop_seconds: int = _setting(
        30,
        _count,
        "停止时最多等待进行中的请求多少秒",
        "Seconds that requests under way have when it stops",
    )


ELSEWHERE = {
    "AUTHOR": ("操作人（命令行）", "Who does it, in the terminal"),
    "LANG": ("语言：zh 或 en", "Language: zh or en"),
    "CACHE": (
        "本机缓存文件夹（PostGIS 路网）",
        "Folder for local copies (walk network of PostGIS)",
    ),
    "GEOCODER": ("在线地理编码，名称:密钥", "Online geocoder, NAME:KEY"),
    "REAL_DATA": ("测试用真实数据的文件夹", "Folder of real data, for the tests"),
}
"""Variables that other rooms read themselves."""


def variable(name: str) -> str:
    """Give the environment variable of a setting."""
    return PREFIX + name.upper()


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises
    ------
    InputError
        ``setting_invalid``.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, Any] = {}
    for one in fields(Settings):
        given = environment.get(variable(one.name))
        if given is None or (given == "" and one.default != ""):
            continue
        try:
            found[one.name] = one.metadata["read"](given)
        except ValueError as error:
            raise InputError(
                "setting_invalid", name=variable(one.name), value=given, reason=error
            ) from None
    settings = Settings(**found)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        name = variable("tls_key" if settings.tls_certificate else "tls_certificate")
        reason = Phrase("证书和私钥要一起给", "the certificate and its key go together")
        raise InputError("setting_invalid", name=name, value="", reason=reason)
    return settings


def unknown(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give variables with our prefix that nothing reads, each with the nearest that is."""
    environment = os.environ if environment is None else environment
    known = [variable(one.name) for one in fields(Settings)] + [PREFIX + k for k in ELSEWHERE]
    known += [PREFIX + "BENCH_STORE"]
    odd = [name for name in environment if name.startswith(PREFIX) and name not in known]
    return {name: (difflib.get_close_matches(name, known, 1) or ["?"])[0] for name in sorted(odd)}


def page() -> str:
    """Give the settings as a page."""
    rows = [
        (variable(one.name), _shown(one.default), one.metadata["zh"], one.metadata["en"])
        for one in fields(Settings)
    ]
    rows += [(PREFIX + name, "", zh, en) for name, (zh, en) in ELSEWHERE.items()]
    lines = [
        "# Settings 设置",
        "",
        "Environment variables; options of `geo-service serve` go before them. "
        "Lists are written with commas. Written by `python -m geo_service.settings`.",
        "",
        "| variable | default | 说明 | what it does |",
        "|---|---|---|---|",
        *(f"| `{name}` | {f'`{default}`' if default else ''} | {zh} | {en} |"
          for name, default, zh, en in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's own.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _shown(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    print(page(), end="")
