"""How log records look on a terminal and in a pipe."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

from torchx.cli import live
from torchx.util.colors import color_code, paint
from torchx.util.redact import redact_text

_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
_WORD_COLORS = {"error": "RED", "warning": "YELLOW"}


class CliFormatter(logging.Formatter):
    """Formats a record as ``torchx TIME LEVEL message``.

    A record with an attribute ``hint`` is meant for the person at the keyboard and becomes
    ``error: message`` and, unless it is empty, ``hint: ...``. The attribute ``word`` replaces the
    level as its first word.
    """

    def __init__(self) -> None:
        stream = sys.stderr
        blue, gray = color_code("BLUE", stream), color_code("GRAY", stream)
        end = color_code("ENDC", stream)
        super().__init__(
            f"{blue}torchx{end} {gray}%(asctime)s %(levelname)-8s{end} %(message)s", _DATE_FORMAT
        )

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record, without the secrets in it.

        Args:
            record: The record.

        Returns:
            One line, or more for a record with a hint or a traceback.
        """
        return redact_text(self._format(record))

    def _format(self, record: logging.LogRecord) -> str:
        hint = getattr(record, "hint", None)
        if hint is None:
            return super().format(record)
        word = getattr(record, "word", record.levelname.lower())
        head = paint(f"{word}:", _WORD_COLORS.get(word, "GRAY"), sys.stderr)
        lines = [f"{head} {record.getMessage()}"]
        if hint:
            lines.append(f"{paint('hint:', 'BLUE', sys.stderr)} {hint}")
        return "\n".join(lines)


class CliHandler(logging.StreamHandler):  # type: ignore[type-arg] # not subscriptable on 3.10
    """Writes records to standard error without tearing the live status line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record.

        Args:
            record: The record.
        """
        with live.hidden():
            super().emit(record)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning of Python as a log record; takes the place of ``warnings.showwarning``.

    Args:
        message: The warning.
        category: Its class, which is named unless it says no more than that this is a warning.
        filename: File of the code that it is about.
        lineno: Line in that file.
        file: Not used: the log decides.
        line: Not used: who launches jobs does not know the code.
    """
    kind = "" if category is UserWarning else f"{category.__name__}: "
    logger = logging.getLogger("py.warnings")
    logger.warning("%s%s", kind, message)
    logger.debug("the warning above is about %s:%d", filename, lineno)


def set_up_logging(level: str) -> None:
    """Sends log records to standard error, unless the process has its own set-up.

    Args:
        level: Name of the lowest level that is shown, in any case.

    Raises:
        SystemExit: There is no such level.
    """
    known = isinstance(logging.getLevelName(level.upper()), int)
    root = logging.getLogger()
    if not root.handlers:
        handler = CliHandler(sys.stderr)
        handler.setFormatter(CliFormatter())
        logging.basicConfig(handlers=[handler])
        warnings.showwarning = show_warning
    if any(isinstance(handler, CliHandler) for handler in root.handlers):
        root.setLevel(level.upper() if known else logging.INFO)
    if not known:
        from torchx.cli.failures import fail

        fail(
            f"there is no log level `{level}`",
            hint="use one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        )
