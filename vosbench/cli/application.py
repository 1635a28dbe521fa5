"""Commands that take an option once, unless it is a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from vosbench.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """Command that refuses an option with two values, of which the parser would keep the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options and arguments from the words of the command line.

        Raises:
            InputError: an option that takes one value is given more than once.
        """
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            _refuse_repeated(given)
        return super().parse_args(ctx, args)


class Application(typer.Typer):
    """Group of such commands."""

    def command(self, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
        """Return the decorator that makes a function a command."""
        return super().command(*arguments, **{"cls": Command, **options})


def _refuse_repeated(given: list[Any]) -> None:
    for parameter, times in Counter(given).items():
        takes_one = parameter.param_type_name == "option" and not (parameter.multiple or parameter.is_flag)
        if takes_one and times > 1:
            raise InputError(f"{parameter.opts[0]} is given {times} times; write it once")
