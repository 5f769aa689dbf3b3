"""What was wrong with a command line, in both languages, and options that were given twice."""

from __future__ import annotations

import re
from typing import Any

import typer.core

from geo_service.errors import InputError, Phrase

# The parser's own words, and the same in Chinese; what it quotes stands in the groups.
_SAID = (
    (r"No such command '(.*)'", "没有命令“{0}”"),
    (r"No such option: (\S+) \(Possible options?: (.*)\)", "没有选项 {0}，相近的有 {1}"),
    (r"No such option: (\S+)", "没有选项 {0}"),
    (r"Missing option '(.*)'", "缺少选项 {0}"),
    (r"Missing argument '(.*)'", "缺少参数 {0}"),
    (r"Missing command", "没有写命令"),
    (r"Option '(.*)' requires an argument", "选项 {0} 后面要有一个值"),
    (r"Option '(.*)' requires (\d+) arguments", "选项 {0} 后面要有 {1} 个值"),
    (r"Option '(.*)' does not take a value", "选项 {0} 后面不带值"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", "多出了“{0}”"),
    (r"Invalid value for '(.*?)': .*valid integer.*", "{0} 的值不是整数"),
    (r"Invalid value for '(.*?)': .*valid number.*", "{0} 的值不是数字"),
    (r"Invalid value for '(.*?)': .*valid boolean.*", "{0} 的值不是 true 或 false"),
    (r"Invalid value for '(.*?)': (.*)", "{0} 的值无效（{1}）"),
)


def why(message: str) -> Phrase:
    """Give the parser's message in both languages.

    Examples
    --------
    >>> why("No such option: --foo.").zh
    '没有选项 --foo'
    """
    told = message.strip().rstrip(".")
    for pattern, zh in _SAID:
        if found := re.fullmatch(pattern, told, re.DOTALL):
            return Phrase(zh.format(*found.groups()), told)
    return Phrase(told, told)


class Command(typer.core.TyperCommand):
    """A command that refuses an option given twice, where the parser would forget the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments after the command's name.

        Raises
        ------
        InputError
            ``command_invalid``.
        """
        before = args[: args.index("--")] if "--" in args else args
        for param in self.params:
            single = not param.multiple and not getattr(param, "is_flag", False)
            names = param.opts if single else []
            given = [a for a in before if a.partition("=")[0] in names]
            if len(given) > 1:
                name = names[-1]
                reason = Phrase(f"选项 {name} 写了两次", f"{name} is given twice")
                raise InputError("command_invalid", reason=reason, command=ctx.command_path)
        return super().parse_args(ctx, args)
