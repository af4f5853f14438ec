"""Parameters of schedulers that come from ``TORCHX_*`` variables of the environment.

``TORCHX_CACHE_SIZE=10`` becomes ``cache_size=10`` for every scheduler whose factory has such a
parameter, or takes any. What torchx itself uses under that prefix is no parameter: a job that
launches jobs has those variables set and must not hand them on.
"""

from __future__ import annotations

import logging
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers import DeferredSchedulerFactory, SchedulerFactory
from torchx.util.entrypoints import DeferredEntryPoint
from torchx.util.types import strip_annotated, to_bool, to_list

logger: logging.Logger = logging.getLogger(__name__)

ENV_PREFIX = "torchx_"
"""How the lower-cased name of a variable that holds a parameter begins."""

_RESERVED_NAMES = frozenset(
    {
        "backend",
        "context_name",
        "custom_named_resources",
        "home",
        "image",
        "internal_session_id",
        "job_id",
        "job_store",
        "max_retries",
        "name",
        "no_entrypoints",
        "parent_run_id",
        "plugins_source",
        "plugins_timeout_s",
        "profile",
        "rank0_host",
        "replica_id",
        "role_idx",
        "role_name",
        "self",
        "session_name",
        "trackers",
    }
)
_RESERVED_PREFIXES = ("cfg_", "internal_", "mcad_", "tracker_", "tracking_")

_READERS: Mapping[object, Callable[[str], object]] = {
    str: str,
    int: int,
    float: float,
    bool: to_bool,
    list: to_list,
    object: str,
    Any: str,
}


class SchedulerParameterError(TorchXError, ValueError):
    """A variable of the environment does not fit the parameter that it is meant for."""


class FromEnv(str):
    """Text of a parameter that was found in the environment."""

    __slots__ = ()


def params_from_env(env: Mapping[str, str]) -> dict[str, FromEnv]:
    """Finds the parameters of schedulers in an environment.

    Args:
        env: The environment.

    Returns:
        Lower-cased name without its prefix -> text. Names that torchx itself uses are left out.
    """
    lowered = {name.lower(): value for name, value in env.items()}
    return {
        name[len(ENV_PREFIX) :]: FromEnv(value)
        for name, value in lowered.items()
        if name.startswith(ENV_PREFIX) and not _is_reserved(name[len(ENV_PREFIX) :])
    }


def params_for(factory: SchedulerFactory, params: Mapping[str, object]) -> dict[str, object]:
    """Returns the parameters to call a factory with.

    Args:
        factory: The factory.
        params: Parameters; those that are `FromEnv` are fitted to the factory, others are taken
            as they are.

    Returns:
        Keyword arguments. Text from the environment has the type that the factory's signature
        names; where that is a type no text can become, the parameter is left out.

    Raises:
        SchedulerParameterError: Text from the environment is not of the type.
    """
    if not any(isinstance(value, FromEnv) for value in params.values()):
        return dict(params)
    accepted = _parameters_of(factory)
    fitted: dict[str, object] = {}
    for name, value in params.items():
        if not isinstance(value, FromEnv):
            fitted[name] = value
        elif accepted is None:
            fitted[name] = str(value)
        elif (reader := accepted.reader(name)) is not None:
            fitted[name] = _read(name, value, reader)
        else:
            logger.debug("%s%s fits no parameter of the scheduler", ENV_PREFIX.upper(), name)
    return fitted


class _Parameters:
    """What a factory accepts by keyword.

    Args:
        factory: The factory itself, not something that loads it.
    """

    def __init__(self, factory: Callable[..., object]) -> None:
        import inspect

        parameters = inspect.signature(factory).parameters.values()
        self._takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._types = {
            p.name: _type_of(factory, p)
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }

    def reader(self, name: str) -> Callable[[str], object] | None:
        """Returns what turns text into the parameter; None if it cannot be given as text."""
        if name not in self._types:
            return str if self._takes_any else None
        return _READERS.get(_without_none(self._types[name]))


def _parameters_of(factory: SchedulerFactory) -> _Parameters | None:
    target: Callable[..., object] = factory
    if isinstance(factory, (DeferredSchedulerFactory, DeferredEntryPoint)):
        target = factory.load()
    try:
        return _Parameters(target)
    except (TypeError, ValueError):
        # Some callables, such as those written in C, have no signature to read.
        return None


def _type_of(factory: Callable[..., object], parameter: Any) -> object:
    if parameter.annotation is parameter.empty:
        has_default = parameter.default not in (parameter.empty, None)
        return type(parameter.default) if has_default else object
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    # One at a time: names imported for type checkers only must not hide what the others tell.
    only = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    function = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]  # only read
    try:
        return typing.get_type_hints(only, getattr(function, "__globals__", {}))[parameter.name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return parameter.annotation


def _without_none(annotation: object) -> object:
    annotation = strip_annotated(annotation)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(annotation) if m is not type(None)]
        return _without_none(members[0]) if len(members) == 1 else _simplest(members)
    if origin is list:
        return list if typing.get_args(annotation) == (str,) else annotation
    return annotation


def _simplest(members: list[object]) -> object:
    return str if str in members else next((m for m in members if m in _READERS), None)


def _read(name: str, text: str, reader: Callable[[str], object]) -> object:
    try:
        return reader(str(text))
    except ValueError as error:
        variable = (ENV_PREFIX + name).upper()
        raise SchedulerParameterError(
            f"the environment variable {variable} does not fit the scheduler's `{name}`: {error}",
            hint=f"correct or unset {variable}",
        ) from error


def _is_reserved(name: str) -> bool:
    return not name or name in _RESERVED_NAMES or name.startswith(_RESERVED_PREFIXES)
