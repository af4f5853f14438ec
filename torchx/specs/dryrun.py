"""What would be submitted, before it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from torchx.specs.app import AppDef, CfgVal

T = TypeVar("T")


class AppDryRunInfo(Generic[T]):
    """The request that a scheduler would receive. Printing it shows the request.

    Args:
        request: The native request of the scheduler.
        fmt: Turns the request into text for people.

    Attributes:
        request: The native request of the scheduler.
    """

    def __init__(self, request: T, fmt: Callable[[T], str]) -> None:
        self.request = request
        self._fmt = fmt
        # Runners and schedulers, also of other packages, set these after construction.
        self._app: AppDef | None = None
        self._cfg: Mapping[str, CfgVal] = {}
        self._scheduler: str | None = None
        # Set by the runner just before it submits; see `torchx.schedulers.abilities`.
        self._submission_id: str | None = None
        # What the app was made from, for the runner's memory of jobs.
        self._launch: object | None = None

    @property
    def app(self) -> AppDef | None:
        """The app that the request was made from."""
        return self._app

    @property
    def cfg(self) -> Mapping[str, CfgVal]:
        """The resolved run options, read-only.

        A scheduler may use a class of its own for them; that object is returned as it is.
        """
        cfg: object = self._cfg
        return MappingProxyType(cfg) if isinstance(cfg, Mapping) else self._cfg

    def __repr__(self) -> str:
        return self._fmt(self.request)
