"""Which installed distribution a module belongs to."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from torchx.plugins._model import NAMESPACE


class Origin(NamedTuple):
    """Where a module comes from.

    Attributes:
        file: Its file, None for a namespace package and for a module that does not exist.
        distribution: Name of the distribution that has installed it, if one has.
        version: Version of that.
    """

    file: str | None = None
    distribution: str | None = None
    version: str | None = None


UNKNOWN_ORIGIN = Origin()
"""Of a module about which nothing is known."""


class Distributions:
    """The distributions that contribute to ``torchx_plugins``, as installed when this is made."""

    def __init__(self) -> None:
        self._by_file: dict[str, metadata.Distribution] = {}
        self._by_directory: dict[str, metadata.Distribution] = {}
        for distribution in metadata.distributions():
            for file in _plugin_files(distribution):
                self._by_file.setdefault(file, distribution)
            directory = _editable_directory(distribution)
            if directory is not None:
                self._by_directory.setdefault(directory, distribution)

    def origin_of(self, module: str) -> Origin:
        """Finds where a module of ``torchx_plugins`` comes from.

        Args:
            module: Its full name.

        Returns:
            What is known.
        """
        file = _file_of(module)
        if file is None:
            return UNKNOWN_ORIGIN
        real = os.path.realpath(file)
        distribution = self._by_file.get(real) or self._editable_one(real)
        return origin_of(distribution, file)

    def _editable_one(self, file: str) -> metadata.Distribution | None:
        above = [each for each in self._by_directory if file.startswith(each + os.sep)]
        return self._by_directory[max(above, key=len)] if above else None


def origin_of(distribution: metadata.Distribution | None, file: str | None = None) -> Origin:
    """Names a distribution.

    Args:
        distribution: The distribution, if there is one.
        file: The file of the module.

    Returns:
        Its name and version.
    """
    if distribution is None:
        return Origin(file)
    return Origin(file, distribution.metadata["Name"], distribution.version)


def _plugin_files(distribution: metadata.Distribution) -> Iterator[str]:
    for file in distribution.files or []:
        if file.parts[0] == NAMESPACE:
            yield os.path.realpath(str(distribution.locate_file(file)))


def _editable_directory(distribution: metadata.Distribution) -> str | None:
    text = distribution.read_text("direct_url.json")
    if not text:
        return None
    try:
        origin = json.loads(text)
        is_editable = origin.get("dir_info", {}).get("editable", False)
        url = urlparse(origin["url"])
    except (ValueError, KeyError, AttributeError):
        # Written by some other tool in some other way: then it is not known.
        return None
    return os.path.realpath(unquote(url.path)) if is_editable else None


def _file_of(module: str) -> str | None:
    loaded = sys.modules.get(module)
    if loaded is not None or module.partition(".")[0] != NAMESPACE:
        return getattr(loaded, "__file__", None)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec is not None and spec.has_location else None
