"""The schedulers of a runner: created when first used, once, and closed together."""

from __future__ import annotations

import builtins
import logging
import os
import threading
from collections.abc import Mapping
from types import ModuleType, TracebackType
from typing import Any, Literal, TypeVar

from torchx.runner.scheduler_params import params_for, params_from_env
from torchx.schedulers import SchedulerFactory
from torchx.schedulers.api import Scheduler
from torchx.specs import (
    AppDef,
    AppHandle,
    CfgVal,
    UnknownSchedulerException,
    parse_app_handle,
    runopts,
)
from torchx.util.foreign import PluginLoadError

logger: logging.Logger = logging.getLogger(__name__)

_Self = TypeVar("_Self", bound="SchedulerConnections")


class SchedulerConnections:
    """What a runner knows and the schedulers that it talks to.

    Args:
        name: Name of the session, part of the handles of its apps; may be empty.
        scheduler_factories: Creates each scheduler by its name.
        component_defaults: Component -> parameter -> default as text.
        scheduler_params: Keyword arguments for every factory. They win over those that
            ``TORCHX_*`` variables of the environment give.
    """

    def __init__(
        self,
        name: str,
        scheduler_factories: dict[str, SchedulerFactory],
        component_defaults: dict[str, dict[str, str]] | None = None,
        scheduler_params: dict[str, object] | None = None,
    ) -> None:
        self._name = name
        self._scheduler_factories = scheduler_factories
        self._component_defaults: dict[str, dict[str, str]] = component_defaults or {}
        self._scheduler_params: dict[str, object] = {
            **self._get_scheduler_params_from_env(),
            **(scheduler_params or {}),
        }
        self._scheduler_instances: dict[str, Scheduler[Any]] = {}
        self._apps: dict[AppHandle, AppDef] = {}

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        try:
            self.close()
        except Exception:
            # What went wrong inside of the block says more than what went wrong behind it.
            if value is None:
                raise
            logger.exception("a scheduler could not be closed")
        return False

    def __repr__(self) -> str:
        return (
            f"Runner(name={self._name}, schedulers={self._scheduler_factories}, apps={self._apps})"
        )

    def close(self) -> None:
        """Closes all schedulers that were used. May be called again.

        Raises:
            Exception: What the first scheduler raised that could not be closed. All others are
                closed nevertheless.
        """
        failures: list[Exception] = []
        # Runners of other packages that bring their own constructor have no instances to close.
        instances: dict[str, Scheduler[Any]] = vars(self).get("_scheduler_instances", {})
        for backend, scheduler in builtins.list(instances.items()):
            try:
                scheduler.close()
            except Exception as error:
                if failures:
                    logger.exception("scheduler `%s` could not be closed", backend)
                failures.append(error)
        if failures:
            raise failures[0]

    def name(self) -> str:
        """Returns the name of the session.

        Returns:
            The name, possibly empty.
        """
        return self._name

    def scheduler_backends(self) -> builtins.list[str]:
        """Returns the names of all schedulers.

        Returns:
            The names, in the order of their registration.
        """
        return builtins.list(self._scheduler_factories)

    def scheduler_run_opts(self, scheduler: str) -> runopts:
        """Returns the run options of a scheduler.

        Args:
            scheduler: Name of the scheduler.

        Returns:
            Its run options.

        Raises:
            UnknownSchedulerException: There is no such scheduler.
        """
        return self._scheduler(scheduler).run_opts()

    def cfg_from_str(self, scheduler: str, *cfg_literal: str) -> Mapping[str, CfgVal]:
        """Reads run options from text.

        Args:
            scheduler: Name of the scheduler that they are for.
            cfg_literal: Texts such as ``queue=short,tags=a;b``; later ones win.

        Returns:
            The options that were given, without defaults.

        Raises:
            ValueError: A text cannot be read.
            UnknownSchedulerException: There is no such scheduler.
        """
        opts = self._scheduler(scheduler).run_opts()
        cfg: dict[str, CfgVal] = {}
        for literal in cfg_literal:
            cfg.update(opts.cfg_from_str(literal))
        return cfg

    def _get_scheduler_params_from_env(self) -> Mapping[str, str]:
        return params_from_env(os.environ)

    def _scheduler(self, scheduler: str) -> Scheduler[Any]:
        found = self._scheduler_instances.get(scheduler)
        if found is not None:
            return found
        # Not set by the constructor, which not every subclass calls.
        lock: threading.RLock = vars(self).setdefault("_creation_lock", threading.RLock())
        with lock:
            found = self._scheduler_instances.get(scheduler)
            if found is None:
                factory = self._scheduler_factories.get(scheduler)
                if factory is None:
                    raise UnknownSchedulerException(scheduler, self._scheduler_factories)
                found = factory(self._name, **params_for(factory, self._scheduler_params))
                _check_is_no_module(scheduler, found)
                self._scheduler_instances[scheduler] = found
            return found

    def _scheduler_app_id(
        self, app_handle: AppHandle, check_session: bool = True
    ) -> tuple[Scheduler[Any], str, str]:
        backend, _, app_id = parse_app_handle(app_handle)
        return self._scheduler(backend), backend, app_id


def _check_is_no_module(name: str, made: object) -> None:
    """Tells of an entry point that lacks its ``:create_scheduler``."""
    if isinstance(made, ModuleType):
        raise PluginLoadError(
            f"what is registered as scheduler `{name}` is the module {made.__name__}",
            hint="register a function that creates the scheduler: `torchx plugins` shows who has"
            " registered it",
        )
