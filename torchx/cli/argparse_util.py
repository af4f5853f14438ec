"""Argparse actions: options that can come from ``.torchxconfig`` and that are given once."""

from __future__ import annotations

import argparse
import weakref
from argparse import Action
from collections.abc import Callable, Sequence
from typing import Any


class ArgOnceAction(Action):
    """Stores a value and rejects the option when it is repeated, in whichever spelling."""

    called_args: set[str] = set()
    """Not used; test suites of the published interface assign it."""

    _filled: Callable[[], object | None] | None = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """As in ``argparse``.

        Raises:
            SystemExit: The option was given before on this command line.
        """
        if self._filled is not None and self._filled() is namespace:
            from torchx.cli.failures import fail

            option = option_string or self.dest
            fail(
                f"`{option}` is specified more than once",
                hint=f"give `{option}` once; values are separated by commas",
                type="UsageError",
            )
        self._filled = _reference(namespace)
        setattr(namespace, self.dest, values)


class torchxconfig(ArgOnceAction):  # noqa: N801, RUF100 - the published name
    """An option whose default comes from section ``[cli:SUBCMD]`` of ``.torchxconfig``.

    The key there is the name of the first long option. The command line wins over the file, the
    file over the default in the code.

    Args:
        subcmd: Name of the sub-command.
        dest: As in ``argparse``.
        option_strings: As in ``argparse``.
        required: As in ``argparse``; a value in the file satisfies it.
        default: As in ``argparse``.
        kwargs: As in ``argparse``.
    """

    called_args: set[str] = set()
    """Not used; test suites of the published interface assign it."""

    _subcmd_configs: dict[str, dict[str, str]] = {}
    """The sections that were read, by sub-command."""

    def __init__(
        self,
        subcmd: str,
        dest: str,
        option_strings: Sequence[str],
        required: bool = False,
        default: Any = None,
        **kwargs: Any,
    ) -> None:
        sections = torchxconfig._subcmd_configs
        if subcmd not in sections:
            sections[subcmd] = _section_of(subcmd)
        default = sections[subcmd].get(dest, default)
        super().__init__(
            dest=dest,
            default=default,
            option_strings=option_strings,
            required=required and not default,
            **kwargs,
        )


class torchxconfig_run(torchxconfig):  # noqa: N801, RUF100 - the published name
    """An option of ``torchx run`` whose default comes from ``[cli:run]``."""

    def __init__(
        self,
        dest: str,
        option_strings: Sequence[str],
        required: bool = False,
        default: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__("run", dest, option_strings, required, default, **kwargs)


class torchxconfig_list(torchxconfig):  # noqa: N801, RUF100 - the published name
    """An option of ``torchx list`` whose default comes from ``[cli:list]``."""

    def __init__(
        self,
        dest: str,
        option_strings: Sequence[str],
        required: bool = False,
        default: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__("list", dest, option_strings, required, default, **kwargs)


def _section_of(subcmd: str) -> dict[str, str]:
    from torchx.util import config_layers
    from torchx.util.config_file import ConfigFileError

    try:
        found = config_layers.settings(f"cli:{subcmd}")
    except (ConfigFileError, OSError) as error:
        # The help text needs no file. The command itself reads it again, and reports this.
        import logging

        logging.getLogger(__name__).debug("no defaults for `%s`: %s", subcmd, error)
        return {}
    return {option: setting.value for option, setting in found.items()}


def _reference(namespace: object) -> Callable[[], object | None]:
    """Refers to what is being filled: argparse makes a new one for each command line."""
    try:
        return weakref.ref(namespace)
    except TypeError:
        return lambda: namespace
