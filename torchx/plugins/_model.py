"""What plugins are: their kinds, where they come from, and what is recorded of failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import Any

from torchx.errors import TorchXError
from torchx.settings import ENV_TORCHX_PLUGINS_SOURCE
from torchx.util.records import record

NAMED_RESOURCES_ATTR = "NAMED_RESOURCES"
"""Where the decorator keeps the named resources of a module, by name."""

NAMESPACE = "torchx_plugins"
"""The namespace package that plugins are found in."""

PluginFactory = Callable[..., Any]
"""Makes what a plugin provides."""


class PluginType(str, Enum):
    """A kind of plugin; the value is its entry-point group."""

    SCHEDULER = "torchx.schedulers"
    NAMED_RESOURCE = "torchx.named_resources"
    TRACKER = "torchx.tracker"
    EVENT_HANDLER = "torchx.event_handlers"

    @property
    def label(self) -> str:
        """Its name in reports, such as ``named_resource``."""
        return self.name.lower()

    @property
    def namespace(self) -> str:
        """Its namespace package, such as ``torchx_plugins.named_resources``."""
        return f"{NAMESPACE}.{self.value.partition('.')[2]}"


class PluginSource(IntFlag):
    """Where plugins are looked for."""

    NONE = 0
    NAMESPACE_PKG = 1
    ENTRYPOINT = 2

    @classmethod
    def parse(cls, text: str | None) -> PluginSource:
        """Reads the value of ``TORCHX_PLUGINS_SOURCE``.

        Args:
            text: The value, None if it is not set.

        Returns:
            The sources, by default all of them.

        Raises:
            PluginSourceError: It is none of the legal values.
        """
        legal = {str(number): number for number in range(4)}
        if text is None:
            return cls(3)
        if text not in legal:
            raise PluginSourceError(
                f"{ENV_TORCHX_PLUGINS_SOURCE}={text!r} is none of 0 (no plugins),"
                f" 1 ({NAMESPACE} only), 2 (entry points only), 3 (both)",
                hint=f"correct or unset {ENV_TORCHX_PLUGINS_SOURCE}",
            )
        return cls(legal[text])


class PluginSourceError(TorchXError, ValueError):
    """``TORCHX_PLUGINS_SOURCE`` has an illegal value."""


class PluginRegistrationError(TorchXError):
    """A plugin cannot be registered as its module asks for."""


@dataclass(frozen=True)
class RegistrationError:
    """Why a plugin, or a module that may hold some, is not used.

    Attributes:
        module: The module.
        error: What was wrong.
        name: Name of the plugin, if it is about one.
        plugin_type: Its kind in lower case, such as ``scheduler``, if it is about one.
    """

    module: str
    error: str
    name: str | None = None
    plugin_type: str | None = None


@record
class Collision:
    """Two plugins of one name that are not the same.

    Attributes:
        plugin_type: Their kind.
        name: Their name.
        winner: The one that is used.
        loser: The other one.
    """

    plugin_type: PluginType
    name: str
    winner: PluginFactory
    loser: PluginFactory
