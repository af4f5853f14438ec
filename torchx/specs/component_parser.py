"""The command line of a component, as an ``argparse`` parser.

``argparse`` converts, reports and prints help. Which word belongs to which option is decided here
beforehand, since a component's command line differs from what ``argparse`` offers: a boolean
works as a bare flag and with a value, and all from the first word that belongs to no option is
for the component's ``*args``, whatever it looks like.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torchx.specs.argument_types import ArgumentType, Optionally, Primitive
from torchx.specs.docstrings import TorchXArgumentHelpFormatter, get_fn_docstring
from torchx.specs.parameters import Component, ComponentParameter, component_parameters
from torchx.util.redact import redact_text
from torchx.util.types import to_bool

logger: logging.Logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"-\.?\d")
_PLAIN_METAVAR = re.compile(r"[^\s\[\]()]+")


class ComponentUsageExit(SystemExit):
    """Ends the process because the command line of a component is wrong.

    Attributes:
        message: What is wrong with it, which has been printed already.
    """

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class ComponentParser(argparse.ArgumentParser):
    """Parses the arguments of one component.

    Args:
        fn: The component.
        defaults: Values that replace the defaults of the signature.
        optional: Parameters that need not be given although they have no default.

    Attributes:
        component_name: Name of the function.
        parameters: The parameters by name.
        given: Names of the parameters that the last parsed command line named.
    """

    def __init__(
        self, fn: Component, defaults: Mapping[str, Any], optional: Iterable[str] = ()
    ) -> None:
        description, texts = get_fn_docstring(fn)
        super().__init__(
            prog=f"torchx run <run args...> {fn.__name__} ",
            description=description,
            formatter_class=TorchXArgumentHelpFormatter,
            add_help=False,
        )
        self.component_name: str = fn.__name__
        self.parameters: dict[str, ComponentParameter] = component_parameters(fn)
        self.given: set[str] = set()
        self._advice = ""
        self._shortened: dict[str, str] = {}
        self._by_spelling: dict[str, ComponentParameter] = {}
        self._varargs: ComponentParameter | None = None
        self._varargs_default: object = None
        self._add_help_option()
        for parameter in self.parameters.values():
            default = defaults.get(parameter.name, parameter.default)
            if parameter.is_varargs:
                self._add_varargs(parameter, defaults.get(parameter.name), texts[parameter.name])
            else:
                is_required = (
                    default is parameter.default
                    and not parameter.has_default
                    and parameter.name not in optional
                )
                self._add_option(parameter, default, is_required, texts[parameter.name])

    def parse_known_args(  # type: ignore[override]  # one signature for what typeshed overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parses words, see ``argparse.ArgumentParser.parse_known_args``.

        Args:
            args: The words, by default those of this process.
            namespace: Where to store the values, by default a new one.

        Returns:
            The values by parameter name, and the words that belong to nothing.
        """
        options, rest = self._split(list(sys.argv[1:] if args is None else args))
        for short, full in self._shortened.items():
            logger.warning(
                "%s is taken for %s: write it in full, since a short form stops working when the"
                " component gains a parameter",
                short,
                full,
            )
        parsed, unknown = super().parse_known_args(options, namespace)
        if self._varargs is not None:
            setattr(parsed, self._varargs.name, rest or _words(self._varargs_default))
            if rest:
                self.given.add(self._varargs.name)
        return parsed, unknown

    def repeated_options(self, words: Sequence[str]) -> list[str]:
        """Finds options that a command line gives more than once; the last one would win.

        Args:
            words: The command line. What it holds for ``*args`` is not looked at.

        Returns:
            Their long spellings, in the order of the command line.
        """
        options, _ = self._split(list(words))
        spellings = [option.partition("=")[0] for option in options]
        return [
            spelling
            for spelling in dict.fromkeys(spellings)
            if spelling in self._by_spelling and spellings.count(spelling) > 1
        ]

    def merged(self, words: Sequence[str], overrides: Sequence[str]) -> list[str]:
        """Puts two command lines together.

        Args:
            words: The first command line.
            overrides: The second one. Its options replace those of the first, and what it holds
                for ``*args`` replaces all that the first holds for them.

        Returns:
            A command line that says the same as both, with options as ``--NAME=VALUE``.
        """
        options, rest = self._split(list(words))
        new_options, new_rest = self._split(list(overrides))
        replaced = {option.partition("=")[0] for option in new_options}
        kept = [option for option in options if option.partition("=")[0] not in replaced]
        tail = new_rest or rest
        separator = ["--"] if tail and tail[0].startswith("-") else []
        return [*kept, *new_options, *separator, *tail]

    def error(self, message: str) -> Any:
        """Prints usage and message, without secrets, and exits with status 2.

        Args:
            message: What is wrong.

        Raises:
            ComponentUsageExit: Always.
        """
        message = redact_text(message + self._advice)
        try:
            super().error(message)
        except SystemExit:
            raise ComponentUsageExit(message) from None

    def _add_help_option(self) -> None:
        # A component's own parameter wins; -h is the single-letter form of a parameter h.
        spelling = "--help" if "help" not in self.parameters else "-h"
        claimed = {text for one in self.parameters.values() for text in one.spellings}
        if spelling not in claimed:
            self.add_argument(
                spelling,
                action="help",
                dest=argparse.SUPPRESS,
                default=argparse.SUPPRESS,
                help="show this help message and exit",
            )

    def _add_option(
        self, parameter: ComponentParameter, default: Any, is_required: bool, text: str
    ) -> None:
        for spelling in parameter.spellings:
            owner = self._by_spelling.setdefault(spelling, parameter)
            if owner is not parameter:
                raise ValueError(
                    f"the parameters {owner.name!r} and {parameter.name!r} both claim the option"
                    f" {spelling}"
                )
        if default is parameter.default and not parameter.has_default:
            default = None
        self.add_argument(
            *parameter.spellings,
            dest=parameter.name,
            default=str(default) if isinstance(default, bool) else default,
            required=is_required,
            type=_converter(parameter),
            metavar=_metavar(parameter.type),
            nargs="?" if _is_flag(parameter) else None,
            help=text,
        )

    def _add_varargs(self, parameter: ComponentParameter, default: object, text: str) -> None:
        self._varargs = parameter
        self._varargs_default = default
        shown = _words(default)
        self.add_argument(
            parameter.name,
            nargs="*",
            default=shown if shown else argparse.SUPPRESS,
            metavar=parameter.name,
            help=text,
        )

    def _split(self, words: list[str]) -> tuple[list[str], list[str]]:
        """Returns the options in the form ``--NAME=VALUE``, and what is left for ``*args``."""
        self.given = set()
        self._advice = ""
        self._shortened = {}
        options: list[str] = []
        while words:
            word = words.pop(0)
            if self._varargs is not None and (word == "--" or not self._looks_like_option(word)):
                return options, words if word == "--" else [word, *words]
            spelling, value = self._spelling_and_value(word)
            parameter = self._find(spelling)
            if parameter is None:
                options.append(word)
                continue
            self.given.add(parameter.name)
            if value is None:
                value = self._take_value(parameter, words)
            canonical = parameter.spellings[0]
            options.append(canonical if value is None else f"{canonical}={value}")
        return options, []

    def _looks_like_option(self, word: str) -> bool:
        if self._is_known(word):
            return True
        spelling = word.partition("=")[0]
        return len(word) > 1 and word[0] == "-" and " " not in spelling and not _NUMBER.match(word)

    def _is_known(self, word: str) -> bool:
        spelling = word.partition("=")[0]
        return spelling in self._option_string_actions or self._has_attached_value(word)

    def _has_attached_value(self, word: str) -> bool:
        return len(word) > 2 and word[1] != "-" and word[:2] in self._by_spelling

    def _spelling_and_value(self, word: str) -> tuple[str, str | None]:
        spelling, equal_sign, value = word.partition("=")
        if spelling not in self._by_spelling and self._has_attached_value(word):
            return word[:2], word[2:]
        return spelling, value if equal_sign else None

    def _find(self, spelling: str) -> ComponentParameter | None:
        if spelling in self._by_spelling:
            return self._by_spelling[spelling]
        if spelling in self._option_string_actions or not self._looks_like_option(spelling):
            return None
        longer = [one for one in self._by_spelling if one.startswith(spelling)]
        if spelling.startswith("--") and len(longer) == 1 and len(spelling) > 2:
            self._shortened[spelling] = longer[0]
            return self._by_spelling[longer[0]]
        self._advise_closest(spelling)
        return None

    def _advise_closest(self, spelling: str) -> None:
        import difflib

        closest = difflib.get_close_matches(spelling, self._by_spelling, n=1)
        if closest and not self._advice:
            self._advice = f" (did you mean {closest[0]}?)"

    def _take_value(self, parameter: ComponentParameter, words: list[str]) -> str | None:
        """Removes and returns the value that follows an option, None if there is none."""
        if _is_flag(parameter):
            return self._take_flag_value(words)
        if not words or words[0] == "--" or self._is_known(words[0]):
            return None
        if words[0].startswith("--") and self._looks_like_option(words[0]):
            self._advice = f" (write {parameter.spellings[0]}=VALUE if a value begins with --)"
            return None
        return words.pop(0)

    def _take_flag_value(self, words: list[str]) -> str:
        if words and (_is_bool(words[0]) or self._must_be_value(words[0])):
            return words.pop(0)
        return "True"

    def _must_be_value(self, word: str) -> bool:
        return self._varargs is None and word != "--" and not self._looks_like_option(word)


def _converter(parameter: ComponentParameter) -> Any:
    annotation = parameter.annotation
    return annotation if annotation in (int, float) else str


def _is_flag(parameter: ComponentParameter) -> bool:
    kind = parameter.type
    return (kind.inner if isinstance(kind, Optionally) else kind) == Primitive(bool)


def _is_bool(word: str) -> bool:
    try:
        to_bool(word)
    except ValueError:
        return False
    return True


def _metavar(kind: ArgumentType | None) -> str:
    label = kind.label if kind is not None else "str"
    # argparse fails to wrap usage lines that hold brackets.
    return label if _PLAIN_METAVAR.fullmatch(label) else "value"


def _words(default: object) -> list[Any]:
    if isinstance(default, str):
        return default.split()
    return list(default) if isinstance(default, (list, tuple)) else []
