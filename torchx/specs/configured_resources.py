"""Named resources that ``.torchxconfig`` defines, each in a section ``[resource:NAME]``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torchx.specs.app import Resource
from torchx.util import config_layers
from torchx.util.config_file import ConfigFileError
from torchx.util.config_layers import Setting
from torchx.util.strings import closest_match

RESOURCE_KIND = "resource"
"""How the names of such sections begin, before the ``:``."""

_REQUIRED = ("cpu", "memMB")

logger: logging.Logger = logging.getLogger(__name__)


def configured_resources() -> dict[str, Callable[[], Resource]]:
    """Finds the named resources of the files.

    Returns:
        Name -> factory, which raises `ConfigFileError` if the section is wrong. Empty, with a
        warning, if a file cannot be read: the other resources do not depend on it.
    """
    try:
        names = config_layers.sections_of_kind(RESOURCE_KIND)
        sections = {name: config_layers.settings(f"{RESOURCE_KIND}:{name}") for name in names}
    except (ConfigFileError, OSError) as error:
        logger.warning("no named resources are read from configuration files: %s", error)
        return {}
    return {name: _factory(name, section) for name, section in sections.items()}


def resource_from(name: str, section: Mapping[str, Setting]) -> Resource:
    """Makes the resource that a section describes.

    Args:
        name: What stands behind ``resource:`` in its name.
        section: Its options.

    Returns:
        A new resource.

    Raises:
        ConfigFileError: An option is missing, unknown or malformed.
    """
    for option in section:
        if option not in _READERS:
            closest = closest_match(option, _READERS)
            raise ConfigFileError(
                f"{section[option].where(option)} is unknown",
                hint=f"did you mean `{closest}`?" if closest else f"use {', '.join(_READERS)}",
            )
    missing = [option for option in _REQUIRED if option not in section]
    if missing:
        place = config_layers.place_of(f"{RESOURCE_KIND}:{name}")
        raise ConfigFileError(
            f"{place} lacks {' and '.join(missing)}",
            hint="cpu is the number of CPUs, memMB the memory in MiB",
        )
    values = {option: _read(option, setting) for option, setting in section.items()}
    return Resource(**{"gpu": 0, **values})


def _factory(name: str, section: Mapping[str, Setting]) -> Callable[[], Resource]:
    return lambda: resource_from(name, section)


def _read(option: str, setting: Setting) -> Any:
    try:
        return _READERS[option](setting.value)
    except ValueError as error:
        raise ConfigFileError(
            f"{setting.where(option)}: {error}",
            hint="numbers are written as digits, pairs as `name: value`, one a line",
        ) from error


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for item in text.replace(",", "\n").split("\n"):
        key, colon, value = (part.strip() for part in item.partition(":"))
        if colon and key:
            pairs[key] = value
        elif item.strip():
            raise ValueError(f"`{item.strip()}` is no pair")
    return pairs


def _counts(text: str) -> dict[str, int]:
    return {key: _count(value) for key, value in _pairs(text).items()}


_READERS: Mapping[str, Callable[[str], Any]] = {
    "cpu": _count,
    "gpu": _count,
    "memMB": _count,
    "capabilities": _pairs,
    "devices": _counts,
    "tags": _pairs,
}
