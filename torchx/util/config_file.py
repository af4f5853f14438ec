"""Reads the text of ``.torchxconfig`` files: an INI dialect, parsed once per version of a file.

The dialect: option names are case-sensitive, ``=`` or ``:`` separates name and value, values are
stripped and not quoted, ``#`` and ``;`` start a comment only as the first character of a line,
deeper indented lines continue a value. ``%(name)s`` stands for an option of the same section or of
``[DEFAULT]``, ``%%`` for a percent sign; any other ``%`` is itself.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Mapping
from dataclasses import field

from torchx.errors import TorchXError
from torchx.util.records import record

DEFAULT_SECTION = "DEFAULT"
"""Section whose options serve all others."""

PLACEHOLDER = "#FIXME"
"""How a value begins that a generated file asks its reader to fill in."""

_MAX_REFERENCE_DEPTH = 10
_SETTLED_NS = 100_000_000
_REFERENCE = re.compile(r"%%|%\(([^()]+)\)s")


class ConfigFileError(TorchXError, ValueError):
    """A ``.torchxconfig`` cannot be read, or holds a value that does not fit."""


@record
class ConfigFile:
    """The content of one file, or what one profile in it says instead.

    Attributes:
        source: Path of the file, or a name for messages if there is none.
        sections: Section -> option -> text as written, in the order of the file.
        headings: How sections are called in the file, where that differs.
        inherits: Whether the options of ``[DEFAULT]`` can be inherited, or only be referred to.
    """

    source: str
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    inherits: bool = True

    def options(self, section: str, with_defaults: bool = False) -> dict[str, str]:
        """Returns the options of one section with references replaced.

        Args:
            section: Name of the section.
            with_defaults: Also return the options of ``[DEFAULT]`` that the section lacks.

        Returns:
            Option -> value, empty if the file has no such section.

        Raises:
            ConfigFileError: References go in circles.
        """
        if section not in self.sections:
            return {}
        own = self.sections[section]
        known = {**self.sections.get(DEFAULT_SECTION, {}), **own}
        return {
            option: self._expand(section, option, text, known, depth=0)
            for option, text in (known if with_defaults and self.inherits else own).items()
        }

    def where(self, section: str, option: str) -> str:
        """Returns the words by which messages name an option.

        Args:
            section: Name of the section.
            option: Name of the option.

        Returns:
            Text such as ``.torchxconfig, section [slurm], option `time```.
        """
        return f"{self.source}, section [{self.heading(section)}], option `{option}`"

    def heading(self, section: str) -> str:
        """Returns what stands in the brackets above a section.

        Args:
            section: Name of the section.

        Returns:
            The name itself, or that of the section of a profile which stands in for it.
        """
        return self.headings.get(section, section)

    def _expand(
        self, section: str, option: str, text: str, known: Mapping[str, str], depth: int
    ) -> str:
        if "%" not in text:
            return text
        if depth > _MAX_REFERENCE_DEPTH:
            raise ConfigFileError(
                f"{self.where(section, option)}: its %(...)s references never end",
                hint="a value must not refer to itself, directly or through other options",
            )

        def replaced(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return "%"
            if name not in known:
                return found[0]
            return self._expand(section, option, known[name], known, depth + 1)

        return _REFERENCE.sub(replaced, text)


def parse(text: str, source: str) -> ConfigFile:
    """Parses the text of a file.

    Args:
        text: The text.
        source: Path of the file, for messages.

    Returns:
        Its content.

    Raises:
        ConfigFileError: The text breaks the rules of the dialect.
    """
    import configparser

    # [DEFAULT] is read like any section: which options a section has itself must stay visible.
    parser = configparser.RawConfigParser(default_section="\0", interpolation=None)
    # The documented way to keep the case of option names.
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # a type is callable
    try:
        parser.read_string(text.removeprefix("\ufeff"), source)
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise ConfigFileError(
            f"{source} is no valid configuration file: {reason}",
            hint="each option is a line `name = value` below a line `[section]`",
        ) from error
    return ConfigFile(source, {name: dict(parser.items(name)) for name in parser.sections()})


@record
class _Parsed:
    stamp: tuple[int, ...]
    content: ConfigFile


_parsed: dict[str, _Parsed] = {}
_parsed_lock = threading.Lock()


def read(path: str) -> ConfigFile:
    """Returns the content of a file, parsed again only if the file has changed.

    Args:
        path: Path of the file.

    Returns:
        Its content.

    Raises:
        ConfigFileError: The file is not UTF-8 text, or breaks the rules of the dialect.
        OSError: The file cannot be read.
    """
    found = os.stat(path)
    stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    with _parsed_lock:
        cached = _parsed.get(path)
    if cached is not None and cached.stamp == stamp:
        return cached.content
    now_ns = time.time_ns()
    content = parse(read_text(path), path)
    # A file changed just now may change again within the resolution of its time stamps.
    if stat.S_ISREG(found.st_mode) and now_ns - found.st_mtime_ns > _SETTLED_NS:
        with _parsed_lock:
            _parsed[path] = _Parsed(stamp, content)
    return content


def read_text(path: str) -> str:
    """Returns the text of a file as it is, with its line ends and a byte order mark.

    Args:
        path: Path of the file.

    Returns:
        The text.

    Raises:
        ConfigFileError: The file is not UTF-8 text.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigFileError(
            f"{path} is not UTF-8 text (byte {error.start})", hint="save the file as UTF-8"
        ) from error
