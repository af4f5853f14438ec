"""A sub-command: ``torchx greet NAME``."""

from __future__ import annotations

import argparse

from torchx.cli.cmd_base import SubCommand


class CmdGreet(SubCommand):
    """Greets somebody."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument("name", help="whom to greet")

    def run(self, args: argparse.Namespace) -> None:
        """Prints the greeting.

        Args:
            args: ``name``.
        """
        print(f"hello {args.name}")
