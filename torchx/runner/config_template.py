"""The text of ``.torchxconfig`` files that people fill in: new ones, and additions to theirs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from torchx.runner.config_options import NONE_TEXT
from torchx.util.config_file import PLACEHOLDER, ConfigFile

if TYPE_CHECKING:
    from torchx.specs import CfgVal, runopt, runopts

_MAX_PLACEHOLDER_LENGTH = 60
_HEADING = re.compile(r"\[(?P<name>.+)\]")
_LINE_START = re.compile(r"(?<=\n)")
_READ_AS_REFERENCE = re.compile(r"%%|%\(")


def option_texts(opts: runopts, required_only: bool) -> dict[str, str]:
    """Returns the options of a scheduler as a template shows them.

    Args:
        opts: The options of the scheduler.
        required_only: Leave optional ones out.

    Returns:
        Option -> text of its value.
    """
    return {
        name: _placeholder(option) if option.is_required else _default_text(option.default)
        for name, option in opts
        if option.is_required or not required_only
    }


def render(section: str, options: dict[str, str]) -> str:
    """Returns the text of a section.

    Args:
        section: Its name.
        options: Option -> text of its value.

    Returns:
        Its lines, and an empty one.
    """
    return f"[{section}]\n{''.join(_lines(options))}\n"


def missing_from(file: ConfigFile, section: str, options: dict[str, str]) -> dict[str, str]:
    """Returns the options of a template that a file lacks.

    Args:
        file: The file.
        section: Name of the section.
        options: What the template has there.

    Returns:
        Those that the file has in no spelling.
    """
    from torchx.specs import cases

    written = file.sections.get(section, {})
    present = {*written, *map(cases.camel_to_snake, written)}
    return {name: text for name, text in options.items() if name not in present}


def merged_text(text: str, additions: list[tuple[str, dict[str, str]]]) -> str:
    """Adds sections and options to the text of a file, and leaves all its lines as they are.

    Args:
        text: The text, which is a valid file.
        additions: Pairs of a section and its option -> text. Sections that the file has get their
            options behind the last one there; others are appended.

    Returns:
        The new text, with the line ends of the old one.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [line for line in _LINE_START.split(text) if line]
    appended = ""
    for section, options in additions:
        end = _end_of_section(lines, section)
        if end is None:
            appended += render(section, options)
        else:
            _close_last_line(lines, newline)
            lines[end.line : end.line] = [
                (end.indent + line).replace("\n", newline) for line in _lines(options)
            ]
    if appended:
        _close_last_line(lines, newline)
        if lines and lines[-1].strip("\r\n"):
            lines.append(newline)
        lines.append(appended.replace("\n", newline))
    return "".join(lines)


def _placeholder(option: runopt) -> str:
    from torchx.specs import get_type_name

    help_text = " ".join(option.help.split())
    text = f"{PLACEHOLDER}:({get_type_name(option.opt_type)}) {help_text}"
    if len(text) <= _MAX_PLACEHOLDER_LENGTH:
        return text
    return f"{text[:_MAX_PLACEHOLDER_LENGTH]}..."


def _default_text(value: CfgVal) -> str:
    if isinstance(value, list):
        text = ";".join(map(str, value)) or NONE_TEXT
    elif isinstance(value, dict):
        text = ";".join(f"{key}:{item}" for key, item in value.items()) or NONE_TEXT
    else:
        text = str(value)
    return text.replace("%", "%%") if _READ_AS_REFERENCE.search(text) else text


def _lines(options: dict[str, str]) -> list[str]:
    return [
        f"{name} = {text}\n".replace("\n", "\n\t", text.count("\n"))
        for name, text in options.items()
    ]


class _End(NamedTuple):
    """Where options can be added to a section.

    Attributes:
        line: Index behind its last line that belongs to an option or is its heading.
        indent: White space before its last option or heading; deeper lines would continue it.
    """

    line: int
    indent: str


def _end_of_section(lines: list[str], section: str) -> _End | None:
    """Finds the end of a section by the rules of the parser; None if there is no such section."""
    end: _End | None = None
    current, indent, is_below_option = "", "", False
    for index, raw in enumerate(lines):
        line = raw.lstrip("\ufeff") if index == 0 else raw
        content = line.strip()
        if not content or content.startswith(("#", ";")):
            continue
        own_indent = line[: len(line) - len(line.lstrip())]
        if not (is_below_option and len(own_indent) > len(indent)):
            indent = own_indent
            heading = _HEADING.match(content)
            is_below_option = heading is None
            current = heading["name"] if heading else current
        if current == section:
            end = _End(index + 1, indent)
    return end


def _close_last_line(lines: list[str], newline: str) -> None:
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += newline
