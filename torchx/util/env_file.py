r"""Reads files of environment variables.

::

    # a comment
    PLAIN=to the end of the line   # but not this
    export LITERAL='in single quotes nothing is special, not even \ and line ends'
    ESCAPED="in double quotes \n, \r, \t, \\ and \" are what they are elsewhere"

Nothing is ever expanded: a ``$`` is a ``$``. Of a variable that is given twice the last value
counts.
"""

from __future__ import annotations

import re
from pathlib import Path

from torchx.errors import TorchXError

_NOTHING = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:#[^\n]*\Z)?")
_NAME = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*=")
_QUOTED = re.compile(r"[ \t]*(?:\"(?P<escaped>(?:[^\"\\]|\\.)*)\"|'(?P<literal>[^']*)')", re.DOTALL)
_QUOTE = re.compile(r"[ \t]*[\"']")
_COMMENT = re.compile(r"[ \t]#")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"'}


class EnvFileError(TorchXError, ValueError):
    """A file of environment variables cannot be read. What is in it is not told."""


def read_env_file(path: str | Path) -> dict[str, str]:
    """Reads a file of environment variables.

    Args:
        path: The file, in UTF-8.

    Returns:
        Values by their names, in the order of the file.

    Raises:
        EnvFileError: The file cannot be read, or a line is malformed; the message names both.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EnvFileError(
            f"{path} is not UTF-8: byte {error.start} cannot be decoded",
            hint="save the file as UTF-8",
        ) from None
    except OSError as error:
        raise EnvFileError(
            f"cannot read {path}: {error.strerror}",
            hint="give the path of a file with lines such as NAME=value",
        ) from error
    return parse_env_file(text, str(path))


def parse_env_file(text: str, source: str) -> dict[str, str]:
    """Reads the text of such a file.

    Args:
        text: The text.
        source: Name of the file, for messages.

    Returns:
        Values by their names.

    Raises:
        EnvFileError: A line is malformed.
    """
    values: dict[str, str] = {}
    position = _skip(text, 0)
    while position < len(text):
        start = position
        name = _NAME.match(text, position)
        if name is None:
            raise _malformed(source, text, start, "there is no NAME= at its beginning")
        value, position = _value(text, name.end(), source)
        line_end = _LINE_END.match(text, position)
        if line_end is None:
            raise _malformed(source, text, position, "something follows the closing quote")
        if "\0" in value:
            raise _malformed(source, text, start, "the value has a NUL character")
        values[name["name"]] = value
        position = _skip(text, line_end.end())
    return values


def _skip(text: str, position: int) -> int:
    found = _NOTHING.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int, source: str) -> tuple[str, int]:
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        literal = quoted["literal"]
        value = _ESCAPE.sub(_unescaped, quoted["escaped"]) if literal is None else literal
        return value, quoted.end()
    if _QUOTE.match(text, position):
        raise _malformed(source, text, position, "the quote is not closed")
    end = text.find("\n", position)
    line = text[position : end if end >= 0 else len(text)]
    comment = _COMMENT.search(line)
    return line[: comment.start() if comment else len(line)].strip(), position + len(line)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])


def _malformed(source: str, text: str, position: int, reason: str) -> EnvFileError:
    line = text.count("\n", 0, position) + 1
    return EnvFileError(
        f"{source}, line {line}: {reason}",
        hint="write NAME=value; quote a value that has quotes, line ends or a # in it",
    )
