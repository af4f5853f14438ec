"""``torchx builtins``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import add_json_option, print_json

if TYPE_CHECKING:
    from torchx.specs.finder import _Component


class CmdBuiltins(SubCommand):
    """Lists the components that can be run by name, or prints the source of one."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "--print",
            type=str,
            metavar="NAME",
            help="print the source of this component, as a starting point for your own",
        )
        add_json_option(subparser)

    def run(self, args: argparse.Namespace) -> None:
        """Prints the list or the source.

        Args:
            args: ``print`` and ``json``.

        Raises:
            ComponentNotFoundException: There is no component of that name.
        """
        if args.print:
            from torchx.specs.finder import get_builtin_source

            source = get_builtin_source(args.print)
            if args.json:
                print_json("builtin_source", {"name": args.print, "source": source})
            else:
                print(source)
            return
        builtins = self._builtins()
        if args.json:
            shown = [
                {"name": name, "description": component.description}
                for name, component in builtins.items()
            ]
            print_json("builtins", {"components": shown})
            return
        print(f"Found {len(builtins)} builtin components:")
        for number, name in enumerate(builtins, start=1):
            print(f" {number:2d}. {name}")

    def _builtins(self) -> dict[str, _Component]:
        from torchx.specs.finder import get_components

        return get_components()
