"""The back ends that run apps, by name; each is imported only when it is used."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torchx import plugins
from torchx.plugins.lookup import registered, uses_entry_points
from torchx.util.entrypoints import load_group

if TYPE_CHECKING:
    from torchx.schedulers.api import Scheduler

__all__ = [
    "DEFAULT_SCHEDULER_MODULES",
    "DeferredSchedulerFactory",
    "Scheduler",
    "SchedulerFactory",
    "get_default_scheduler_name",
    "get_scheduler_factories",
    "load_group",
    "plugins",
]

logger: logging.Logger = logging.getLogger(__name__)

_GROUP = "torchx.schedulers"

DEFAULT_SCHEDULER_MODULES: Mapping[str, str] = {
    "local_docker": "torchx.schedulers.docker_scheduler",
    "local_cwd": "torchx.schedulers.local_scheduler",
    "slurm": "torchx.schedulers.slurm_scheduler",
    "kubernetes": "torchx.schedulers.kubernetes_scheduler",
    "kubernetes_mcad": "torchx.schedulers.kubernetes_mcad_scheduler",
    "aws_batch": "torchx.schedulers.aws_batch_scheduler",
    "aws_sagemaker": "torchx.schedulers.aws_sagemaker_scheduler",
    "lsf": "torchx.schedulers.lsf_scheduler",
}
"""Module of each built-in scheduler by its name; the first one is the default."""


class SchedulerFactory(Protocol):
    """Creates a scheduler."""

    def __call__(self, session_name: str, **kwargs: object) -> Scheduler[Any]:
        """Creates a scheduler, without contacting its back end.

        Args:
            session_name: Name under which the client submits apps.
            **kwargs: Parameters of the scheduler; those it does not know are ignored.

        Returns:
            The scheduler.
        """
        ...


class DeferredSchedulerFactory:
    """A factory whose module is imported when it is used.

    Args:
        path: Name of the module, which has a function ``create_scheduler``.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> SchedulerFactory:
        """Imports the module, which tells what parameters the factory has.

        Returns:
            Its ``create_scheduler``.

        Raises:
            ModuleNotFoundError: The module, or something that it imports, is missing.
        """
        import importlib

        try:
            module = importlib.import_module(self._path)
        except ModuleNotFoundError as error:
            if error.name != self._path:
                raise
            raise ModuleNotFoundError(
                f"this release of torchx has no `{self._path}`", name=self._path
            ) from None
        create: SchedulerFactory = module.create_scheduler
        return create

    def __call__(self, session_name: str, **kwargs: object) -> Scheduler[Any]:
        """Imports the module and creates a scheduler.

        Args:
            session_name: Name under which the client submits apps.
            **kwargs: Parameters of the scheduler.

        Returns:
            The scheduler.
        """
        return self.load()(session_name, **kwargs)


def get_scheduler_factories(
    group: str = _GROUP, skip_defaults: bool = False
) -> dict[str, SchedulerFactory]:
    """Finds all schedulers: the built-in ones and those of installed plugins.

    A plugin with the name of a built-in scheduler replaces it, which is reported by log. No entry
    point is imported until its factory is called.

    Args:
        group: Entry-point group of the plugins.
        skip_defaults: Leave the built-in schedulers out.

    Returns:
        Factory by name: plugins, then the built-in ones. The first is the default.
    """
    builtin = {} if skip_defaults else _builtin_factories()
    found = _plugin_factories(group, builtin)
    for name in builtin.keys() & found.keys():
        _report_replacement(name)
    return {**found, **{name: builtin[name] for name in builtin if name not in found}}


def get_default_scheduler_name() -> str:
    """Names the scheduler that is used where none is given.

    Returns:
        The first plugin, if any is installed; else the first built-in scheduler.
    """
    return next(iter(get_scheduler_factories()))


def _builtin_factories() -> dict[str, SchedulerFactory]:
    return {name: _defer_load_scheduler(path) for name, path in DEFAULT_SCHEDULER_MODULES.items()}


def _plugin_factories(
    group: str, builtin: Mapping[str, SchedulerFactory]
) -> dict[str, SchedulerFactory]:
    found: Mapping[str, SchedulerFactory] = {}
    if group == _GROUP:
        found = registered(plugins.PluginType.SCHEDULER, plugins.registry)
        if not found and not uses_entry_points():
            return {}
    found = found or load_group(group, default=dict(builtin)) or {}
    return {name: factory for name, factory in found.items() if builtin.get(name) is not factory}


@functools.lru_cache
def _report_replacement(name: str) -> None:
    """Warns once, however often the schedulers are listed."""
    logger.warning("a plugin replaces the built-in scheduler `%s`", name)


def _defer_load_scheduler(path: str) -> SchedulerFactory:
    return DeferredSchedulerFactory(path)


def __getattr__(name: str) -> object:
    if name == "Scheduler":
        from torchx.schedulers.api import Scheduler

        return Scheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
