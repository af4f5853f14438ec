"""Trackers of a job: finding them, and writing to all of them.

The launcher names the trackers in ``.torchxconfig`` and hands their names and configurations to the
job in its environment; `AppRun.run_from_env` makes them there. A tracker is made by a factory, a
function ``create(config: str | None) -> TrackerBase`` that a package registers under the name of
the tracker in the entry-point group ``torchx.tracker`` (or as a plugin), or that the configuration
names as ``package.module:create``.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from torchx.settings import (
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
    ENV_TORCHX_TRACKERS,
    tracker_env,
)
from torchx.tracker.base import (
    Lineage,
    MetricPoint,
    SupportsMetrics,
    SupportsParams,
    TrackerArtifact,
    TrackerBase,
    TrackerDescendant,
    TrackerSource,
)
from torchx.tracker.isolation import Isolation, describe, is_strict
from torchx.util.entrypoints import load_group
from torchx.util.modules import load_module

__all__ = [
    "ENV_TORCHX_JOB_ID",
    "ENV_TORCHX_PARENT_RUN_ID",
    "ENV_TORCHX_TRACKERS",
    "AppRun",
    "AppRunTrackableSource",
    "Lineage",
    "MetricPoint",
    "SupportsMetrics",
    "SupportsParams",
    "TrackerArtifact",
    "TrackerBase",
    "TrackerDescendant",
    "TrackerSource",
    "build_trackers",
    "tracker_config_env_var_name",
    "trackers_from_environ",
]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)

TRACKERS_GROUP = "torchx.tracker"
"""Entry-point group in which packages register factories of trackers."""

UNDEFINED_RUN_ID = "<UNDEFINED>"
"""Id of the run of a program that was not launched as a job."""

TrackerFactory = Callable[[str | None], TrackerBase]
"""Makes a tracker out of its configuration, which is None if there is none."""


def __getattr__(name: str) -> ModuleType:
    if name == "plugins":
        return importlib.import_module("torchx.plugins")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def tracker_config_env_var_name(entrypoint_key: str) -> str:
    """Returns the name of the variable that holds the configuration of a tracker.

    Args:
        entrypoint_key: Name of the tracker.

    Returns:
        For example ``TORCHX_TRACKER_FSSPEC_CONFIG``. What cannot be part of a variable's name is
        replaced by underscores.
    """
    return tracker_env(entrypoint_key, "CONFIG")


def build_trackers(
    factory_and_config: Mapping[str, str | None],
    factories: Mapping[str, str] | None = None,
    strict: bool | None = None,
) -> list[TrackerBase]:
    """Makes trackers.

    A tracker that cannot be found or made is warned about and left out.

    Args:
        factory_and_config: Configuration of each tracker by its name, which is that of an entry
            point or ``package.module:function``.
        factories: ``package.module:function`` of trackers whose name is not that of their factory.
        strict: Raise what a factory raises. By default as ``TORCHX_TRACKER_STRICT`` says.

    Returns:
        The trackers, in order.

    Raises:
        Exception: What a factory raised, in strict mode only.
    """
    strict = is_strict() if strict is None else strict
    installed = _installed() if factory_and_config else {}
    if factory_and_config and not installed:
        logger.warning("no package registers a tracker in group `%s`", TRACKERS_GROUP)
    trackers = []
    for name, config in factory_and_config.items():
        make = _find_factory(name, (factories or {}).get(name), installed)
        tracker = None if make is None else _make_tracker(name, make, config, strict)
        if tracker is not None:
            trackers.append(tracker)
    return trackers


def trackers_from_environ() -> list[TrackerBase]:
    """Makes the trackers that the launcher of this job configured.

    Returns:
        The trackers, in order; none outside of a job.
    """
    configured = _extract_tracker_name_and_config_from_environ()
    factories = {
        name: factory
        for name in configured
        if (factory := os.environ.get(tracker_env(name, "FACTORY")))
    }
    return build_trackers(configured, factories) if configured else []


@dataclass
class AppRunTrackableSource:
    """A run that another one was made from.

    Attributes:
        parent: The run.
        artifact_name: The artifact of it that was used; None for the run as a whole.
    """

    parent: AppRun
    artifact_name: str | None


class _RunFromEnv:
    """Returns the run of this process: one object for as long as the environment says the same.

    A process that was forked off makes trackers of its own, since connections cannot be shared.
    """

    def __init__(self) -> None:
        self._known: tuple[object, AppRun] | None = None

    def __call__(self) -> AppRun:
        settings = {name: value for name, value in os.environ.items() if name[:7] == "TORCHX_"}
        state = (os.getpid(), settings)
        if self._known is None or self._known[0] != state:
            self._known = (state, _make_run())
        return self._known[1]

    def cache_clear(self) -> None:
        """Forgets the run, so that the next call makes it anew."""
        self._known = None


@dataclass
class AppRun:
    """A run, which all trackers of the job are told about.

    A tracker that fails is warned about once; the program and the other trackers go on.

    Attributes:
        id: Id of the run, in a job the handle of the app.
        backends: The trackers.
    """

    id: str
    backends: Iterable[TrackerBase]
    _isolation: Isolation = field(default_factory=Isolation, init=False, repr=False, compare=False)

    run_from_env: ClassVar[_RunFromEnv] = _RunFromEnv()
    """``run_from_env() -> AppRun``: the run of this job, see `torchx.tracker.app_run_from_env`.

    It is made once; ``run_from_env.cache_clear()`` forgets it.
    """

    def job_id(self) -> str:
        """Returns the id of the run.

        Returns:
            In a job the handle of the app, else ``<UNDEFINED>``.
        """
        return self.id

    def add_metadata(self, **kwargs: object) -> None:
        """Adds to what is known about the run; a later value of a key replaces the earlier one.

        Args:
            kwargs: Values by key.
        """
        self._tell("add_metadata", lambda tracker: tracker.add_metadata(self.id, **kwargs))

    def add_params(self, **params: object) -> None:
        """Adds parameters: what was decided before the run began.

        Args:
            params: Values by name. Trackers that know no parameters keep them as metadata.
        """

        def add(tracker: TrackerBase) -> None:
            if isinstance(tracker, SupportsParams):
                tracker.log_params_flat(self.id, params)
            else:
                tracker.add_metadata(self.id, **params)

        self._tell("add_params", add)

    def add_metrics(self, step: int | None = None, /, **values: float) -> None:
        """Adds a point to curves.

        Args:
            step: Position on the curves, such as the number of the epoch.
            values: Values by the name of the curve. Trackers that know no curves keep the newest
                ones as metadata.
        """

        def add(tracker: TrackerBase) -> None:
            if isinstance(tracker, SupportsMetrics):
                tracker.add_metrics(self.id, values, step)
            else:
                tracker.add_metadata(self.id, **values)

        self._tell("add_metrics", add)

    def add_artifact(
        self, name: str, path: str, metadata: Mapping[str, object] | None = None
    ) -> None:
        """Adds something that the run has made; a later one of the same name replaces it.

        Args:
            name: Name within the run.
            path: Path or URL.
            metadata: What is known about it.
        """
        self._tell(
            "add_artifact", lambda tracker: tracker.add_artifact(self.id, name, path, metadata)
        )

    def add_source(self, source_id: str, artifact_name: str | None = None) -> None:
        """Says what the run was made from.

        Args:
            source_id: Another run, or the id of something outside of torchx.
            artifact_name: The artifact of it that was used.
        """
        self._tell(
            "add_source", lambda tracker: tracker.add_source(self.id, source_id, artifact_name)
        )

    def metadata(self) -> Mapping[str, object]:
        """Returns what the first tracker knows about the run.

        Returns:
            Values by key; nothing without trackers.
        """
        return self._ask("metadata", lambda tracker: tracker.metadata(self.id)) or {}

    def artifacts(self) -> Mapping[str, TrackerArtifact]:
        """Returns what the run has made, as the first tracker knows it.

        Returns:
            The artifacts by name; nothing without trackers.
        """
        return self._ask("artifacts", lambda tracker: tracker.artifacts(self.id)) or {}

    def sources(self) -> Iterable[AppRunTrackableSource]:
        """Returns what the run was made from, as the first tracker knows it.

        Returns:
            The sources; none without trackers.
        """
        found = self._ask("sources", lambda tracker: list(tracker.sources(self.id)))
        return [
            AppRunTrackableSource(
                AppRun(source.source_run_id, backends=self.backends), source.artifact_name
            )
            for source in found or []
        ]

    def children(self) -> Iterable[AppRun]:
        """Returns the runs that were made from this one, as the first tracker knows them.

        Returns:
            The runs; none without trackers.
        """
        found = self._ask("run_ids", lambda tracker: list(tracker.run_ids(parent_run_id=self.id)))
        return [AppRun(run_id, backends=self.backends) for run_id in found or []]

    def _tell(self, what: str, action: Callable[[TrackerBase], None]) -> None:
        for tracker in self.backends:
            self._isolation.call(tracker, what, partial(action, tracker))

    def _ask(self, what: str, question: Callable[[TrackerBase], T]) -> T | None:
        for tracker in self.backends:
            return self._isolation.call(tracker, what, partial(question, tracker))
        return None


def _make_run() -> AppRun:
    run = AppRun(os.environ.get(ENV_TORCHX_JOB_ID, UNDEFINED_RUN_ID), trackers_from_environ())
    parent_id = os.environ.get(ENV_TORCHX_PARENT_RUN_ID)
    if parent_id and os.environ.get("RANK", "0") == "0":  # one worker speaks for all
        run._tell(
            "add_source", lambda tracker: tracker.add_source(run.id, parent_id, artifact_name=None)
        )
    return run


def _extract_tracker_name_and_config_from_environ() -> Mapping[str, str | None]:
    listed = os.environ.get(ENV_TORCHX_TRACKERS)
    if listed is None:
        logger.info("no trackers: %s is not set", ENV_TORCHX_TRACKERS)
        return {}
    names = [name for part in listed.split(",") if (name := part.strip())]
    return {name: _config_from_environ(name) for name in names}


def _config_from_environ(name: str) -> str | None:
    # Launchers of earlier releases do not replace what shells forbid.
    as_written = f"TORCHX_TRACKER_{name.upper()}_CONFIG"
    return os.environ.get(tracker_config_env_var_name(name), os.environ.get(as_written))


def _find_factory(
    name: str, factory: str | None, installed: Mapping[str, Any]
) -> TrackerFactory | None:
    found = load_module(factory) if factory else (installed.get(name) or load_module(name))
    if found is None:
        logger.warning(
            "tracker `%s` is left out: no package registers it in group `%s`, and `%s` is no"
            " package.module:function; see docs/tracking.md",
            name,
            TRACKERS_GROUP,
            factory or name,
        )
        return None
    if not callable(found):
        logger.warning("tracker `%s` is left out: %r cannot be called to make one", name, found)
        return None
    return found


def _make_tracker(
    name: str, make: TrackerFactory, config: str | None, strict: bool
) -> TrackerBase | None:
    logger.info("tracker `%s` has %s", name, "a configuration" if config else "no configuration")
    try:
        tracker = make(config)
    except (Exception, SystemExit) as error:
        if strict:
            raise
        logger.warning("tracker `%s` is left out, it cannot be made: %s", name, describe(error))
        logger.debug("tracker `%s`", name, exc_info=error)
        return None
    if isinstance(tracker, ModuleType):  # an entry point that names a module
        logger.warning("tracker `%s` is left out: %r cannot be called to make one", name, tracker)
        return None
    return tracker


def _installed() -> dict[str, Any]:
    from torchx.plugins.lookup import registered

    ours = sys.modules[__name__].plugins
    return {
        **registered(ours.PluginType.TRACKER, ours.registry),
        **(load_group(TRACKERS_GROUP) or {}),
    }
