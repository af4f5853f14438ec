"""Typed keys for ``Resource.capabilities``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from torchx.specs.app import Resource

V = TypeVar("V")
D = TypeVar("D")


@dataclass(frozen=True)
class CapabilityKey(Generic[V]):
    """Name and type of one capability.

    Args:
        namespace: Who defines the capability, for example ``aws``.
        name: Name within the namespace.
        type: Type of the values.

    Example:
        >>> BANDWIDTH = CapabilityKey("aws", "network_bandwidth_gbps", int)
        >>> resource = Resource(cpu=1, gpu=0, memMB=1024)
        >>> BANDWIDTH.set(resource, 100)
        >>> BANDWIDTH.get(resource)
        100
    """

    namespace: str
    name: str
    type: type[V]

    @property
    def key(self) -> str:
        """The key in ``Resource.capabilities``: ``namespace.name``."""
        return f"{self.namespace}.{self.name}"

    def set(self, resource: Resource, value: V) -> None:
        """Stores a value.

        Args:
            resource: Where to store it.
            value: The value.
        """
        resource.capabilities[self.key] = value

    @overload
    def get(self, resource: Resource) -> V | None: ...
    @overload
    def get(self, resource: Resource, default: D) -> V | D: ...
    def get(self, resource: Resource, default: D | None = None) -> V | D | None:
        """Reads the value.

        Args:
            resource: Where to look.
            default: What to return if the capability is not there.

        Returns:
            The value or the default.

        Raises:
            TypeError: The stored value is of another type. A bool is no int here.
        """
        if self.key not in resource.capabilities:
            return default
        value: object = resource.capabilities[self.key]
        is_bool_for_other = isinstance(value, bool) and self.type not in (bool, object)
        if not isinstance(value, self.type) or is_bool_for_other:
            raise TypeError(
                f"capability `{self.key}`: expected `{self.type.__name__}`,"
                f" got `{type(value).__name__}` ({value!r})"
            )
        return value
