"""``torchx plugins``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torchx.cli.cmd_base import SubCommand
from torchx.cli.plugin_report import plugin_report
from torchx.cli.tables import print_table

_Entry = Mapping[str, Any]

# Both report failures while they look for plugins; here they are in the result.
_REPORTING_LOGGERS = ("torchx.plugins", "torchx.util.entrypoints")


class CmdPlugins(SubCommand):
    """Shows what installed packages add to torchx, what has which name, and what failed and why."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> None:
        """Imports all plugins and prints what became of it.

        Args:
            args: ``json``.
        """
        with _quiet():
            report = plugin_report()
        if args.json:
            print(json.dumps(report))
        else:
            _print(report)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _REPORTING_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _print(report: _Entry) -> None:
    if not report["plugins"]:
        print("no installed package adds anything")
    _print_rows(
        "",
        ["TYPE", "NAME", "DISTRIBUTION", "STYLE", "MODULE"],
        [
            [each["type"], _names(each), _distribution(each), each["style"], each["module"]]
            for each in report["plugins"]
        ],
    )
    _print_rows(
        "\nOf one name:\n",
        ["TYPE", "NAME", "USED", "NOT USED"],
        [
            [loser["type"], loser["name"], _place(winner), _place(loser)]
            for winner, loser in (each.values() for each in report["collisions"])
        ],
    )
    _print_rows(
        "\nNot used because of an error:\n",
        ["TYPE", "NAME", "DISTRIBUTION", "MODULE", "ERROR"],
        [[*_subject(each), " ".join(each["error"].split())] for each in report["failures"]],
    )


def _print_rows(title: str, headers: list[str], rows: list[list[str]]) -> None:
    if rows:
        print(title, end="")
        print_table(headers, rows)


def _subject(failure: _Entry) -> list[str]:
    module = failure["module"] or "-"
    return [failure["type"] or "-", failure["name"] or "-", _distribution(failure), module]


def _names(plugin: _Entry) -> str:
    others = [*plugin["aliases"], *plugin["fractionals"]]
    return f"{plugin['name']} (also {', '.join(others)})" if others else str(plugin["name"])


def _distribution(entry: _Entry) -> str:
    if entry["distribution"] is None:
        return str(entry["file"] or "-")
    return f"{entry['distribution']} {entry['version'] or ''}".rstrip()


def _place(plugin: _Entry) -> str:
    if plugin["distribution"] is None:
        return f"{plugin['module']} ({plugin['style']})"
    return f"{plugin['module']} ({plugin['style']} of {_distribution(plugin)})"
