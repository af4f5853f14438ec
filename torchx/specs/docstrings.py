"""What a component's docstring says, and how ``--help`` shows it."""

from __future__ import annotations

import argparse
import copy
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torchx.util.help_format import HelpFormatter

if TYPE_CHECKING:
    from docstring_parser import Docstring

_UNDOCUMENTED = " "
_TIP = (
    "TIP: improve this help string by adding a docstring\nto your component"
    " (see: https://meta-pytorch.org/torchx/latest/component_best_practices.html)"
)


def get_fn_docstring(fn: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Returns the description of a component and of its parameters.

    Args:
        fn: The component.

    Returns:
        The description (short and long, a newline between them) and a text per parameter, a blank
        for undocumented ones. Names that are documented but are no parameters are included.
    """
    texts = dict.fromkeys(inspect.signature(fn).parameters, _UNDOCUMENTED)
    written = inspect.getdoc(fn)
    if not written:
        return f"{fn.__name__} {_TIP}", texts
    parsed = _parsed(written)
    if parsed is None:
        return written, texts
    for parameter in parsed.params:
        texts[parameter.arg_name] = parameter.description or _UNDOCUMENTED
    parts = [parsed.short_description, parsed.long_description]
    return "\n".join(part for part in parts if part), texts


@functools.lru_cache(maxsize=64)
def _parsed(written: str) -> Docstring | None:
    """Parses a docstring, once however often its component is looked up; callers only read it."""
    from docstring_parser import ParseError, parse

    try:
        return parse(written)
    except ParseError:
        # A docstring may be in no known style; its text is then all there is to show.
        return None


class _CompleteHelp(str):
    """Help text that already tells the default."""


class TorchXArgumentHelpFormatter(HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows types as placeholders, and for each argument its default or that it is required.

    Nothing in texts or defaults is taken for a ``%`` format.
    """

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if isinstance(text, _CompleteHelp) or action.default is argparse.SUPPRESS:
            return text
        return text + (" (required)" if action.required else f" (default: {action.default})")

    def _expand_help(self, action: argparse.Action) -> str:
        return self._get_help_string(action)

    def _format_action(self, action: argparse.Action) -> str:
        if action.help is not None and not action.help.strip():
            # argparse drops blank help, and with it the default that would be appended to it.
            action = copy.copy(action)
            action.help = _CompleteHelp(self._get_help_string(action).strip())
        return super()._format_action(action)

    def _format_text(self, text: str) -> str:
        return super()._format_text(text.replace("%", "%%") if "%(prog)" in text else text)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        return _type_name(action) or super()._get_default_metavar_for_optional(action)

    def _get_default_metavar_for_positional(self, action: argparse.Action) -> str:
        return _type_name(action) or super()._get_default_metavar_for_positional(action)


def _type_name(action: argparse.Action) -> str | None:
    name: str | None = getattr(action.type, "__name__", None)
    return name
