"""``torchx configure``."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from pathlib import Path

from torchx.cli.cmd_base import SubCommand
from torchx.cli.failures import fail
from torchx.cli.json_output import add_json_option, print_json
from torchx.settings import ENV_TORCHXCONFIG

logger: logging.Logger = logging.getLogger(__name__)


class CmdConfigure(SubCommand):
    """Writes a ``.torchxconfig`` to fill in, or adds to yours what it lacks."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "-s",
            "--schedulers",
            type=str,
            help="only these schedulers, separated by commas; all by default",
        )
        subparser.add_argument(
            "--print", action="store_true", help="print a new file instead of writing one"
        )
        subparser.add_argument(
            "-a",
            "--all",
            action="store_true",
            help="also the optional options, with their defaults",
        )
        add_json_option(subparser, "with --print: print one JSON object that holds the text")

    def run(self, args: argparse.Namespace) -> None:
        """Writes or prints the file.

        Args:
            args: ``schedulers``, ``print``, ``all`` and ``json``.

        Raises:
            ValueError: There is no such scheduler.
            ConfigFileError: The file that exists is malformed; it stays as it is.
        """
        from torchx.runner import config

        names = _split(args.schedulers) or None
        if args.json and not args.print:
            fail("--json needs --print", hint="give both, or none to write the file", exit_code=2)
        if args.print:
            text = io.StringIO()
            config.dump(text, names, required_only=not args.all)
            if args.json:
                print_json("configure", {"text": text.getvalue()})
            else:
                sys.stdout.write(text.getvalue())
            return
        sections = config.template_options(names, required_only=not args.all)
        _add_to(Path(config.CONFIG_FILE), sections)


def _split(text: str | None) -> list[str]:
    return [name for part in (text or "").split(",") if (name := part.strip())]


def _add_to(path: Path, sections: list[tuple[str, dict[str, str]]]) -> None:
    from torchx.runner.config_template import merged_text, missing_from
    from torchx.util.config_file import parse, read_text
    from torchx.util.files import replacing

    text = read_text(str(path)) if path.exists() else ""
    file = parse(text, str(path))
    additions = [
        (section, missing)
        for section, options in sections
        if (missing := missing_from(file, section, options)) or section not in file.sections
    ]
    if not additions:
        logger.info("`%s` has all of it already and stays as it is", path)
        return
    new = merged_text(text, additions)
    parse(new, str(path))
    with replacing(path) as temporary:
        Path(temporary).write_bytes(new.encode())
    for section, options in additions:
        logger.info("`%s`: [%s] %s", path, section, ", ".join(options) or "(no required options)")
    if ENV_TORCHXCONFIG in os.environ:
        logger.warning("`%s` is not read as long as %s is set", path, ENV_TORCHXCONFIG)
