"""Overrides: fields of a role whose values are produced when they are first read (deprecated).

``role.overrides["image"]`` is a function without arguments, or an awaitable, and stands in for the
field ``image``. Hardly any program uses this, so reads of a role are plain attribute reads until
some role gets overrides; only then are they intercepted.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

_OVERRIDES_LOCK_KEY = "<lock of the overrides>"
_ASSIGNED = "_assigned_over_overrides"


class _OverridesLock:
    """Makes the readers of one dict of overrides run each producer once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, object]) -> _OverridesLock:
        return self

    def __reduce__(self) -> tuple[type[_OverridesLock], tuple[()]]:
        return type(self), ()


class _Resolved(Generic[T]):
    """Takes the place of a producer once it has produced its value."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __call__(self) -> T:
        return self.value


class _NoOverrides:
    """Default of ``Role.overrides``; unlike a dict that was given, nobody else can fill it."""

    def __repr__(self) -> str:
        return "{}"


_NO_OVERRIDES = _NoOverrides()


class OverridesField:
    """The field ``Role.overrides``. Starts interception once somebody else may fill the dict."""

    _owner: type

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    @overload
    def __get__(self, role: None, owner: type) -> _NoOverrides: ...
    @overload
    def __get__(self, role: object, owner: type) -> dict[str, Any]: ...
    def __get__(self, role: object | None, owner: type) -> dict[str, Any] | _NoOverrides:
        """Returns the dict itself; on the class, the default."""
        if role is None:
            return _NO_OVERRIDES
        self.intercept()
        return raw_overrides(role)

    def __set__(self, role: object, overrides: dict[str, Any] | None) -> None:
        """Stores the dict itself and forgets what was assigned over its predecessor."""
        is_default = isinstance(overrides, _NoOverrides)
        fields = vars(role)
        fields.pop(_ASSIGNED, None)
        fields["overrides"] = {} if is_default or overrides is None else overrides
        if not is_default:
            self.intercept()

    def intercept(self) -> None:
        """From now on reads and assignments of all roles look for overrides."""
        if "__getattribute__" not in vars(self._owner):
            type.__setattr__(self._owner, "__setattr__", _assign)
            type.__setattr__(self._owner, "__getattribute__", _read)


def raw_overrides(role: object) -> dict[str, Any]:
    """Returns the overrides of a role without starting interception.

    Args:
        role: The role.

    Returns:
        The dict itself.
    """
    overrides: dict[str, Any] = vars(role).setdefault("overrides", {})
    return overrides


def has_overrides(role: object) -> bool:
    """Tells whether a role has overrides; the lock alone does not count.

    Args:
        role: The role.

    Returns:
        True if some field has a producer.
    """
    return any(name != _OVERRIDES_LOCK_KEY for name in raw_overrides(role))


def _read(role: object, name: str) -> Any:
    fields: dict[str, Any] = object.__getattribute__(role, "__dict__")
    overrides = fields.get("overrides")
    if overrides and name in overrides and name not in fields.get(_ASSIGNED, ()):
        return _resolve(overrides, name)
    return object.__getattribute__(role, name)


def _assign(role: object, name: str, value: object) -> None:
    fields = vars(role)
    is_construction = name not in fields
    object.__setattr__(role, name, value)
    if not is_construction and name in (fields.get("overrides") or ()):
        # Overrides may be shared with other roles, so they stay; only this role stops reading them.
        fields[_ASSIGNED] = fields.get(_ASSIGNED, frozenset()) | {name}


class _Holding(threading.local):
    """The locks that this thread may regard as its own."""

    def __init__(self) -> None:
        self.locks: list[_OverridesLock] = []


_holding = _Holding()


def _resolve(overrides: dict[str, Any], name: str) -> Any:
    entry = overrides[name]
    if isinstance(entry, _Resolved):
        return entry.value
    holder: _OverridesLock = overrides.setdefault(_OVERRIDES_LOCK_KEY, _OverridesLock())
    if holder in _holding.locks:
        return _produce(overrides, name)
    with holder.lock:
        _holding.locks.append(holder)
        try:
            return _produce(overrides, name)
        finally:
            _holding.locks.remove(holder)


def _produce(overrides: dict[str, Any], name: str) -> Any:
    entry = overrides[name]
    if isinstance(entry, _Resolved):
        return entry.value
    value = entry if isinstance(entry, Awaitable) else entry()
    if isinstance(value, Awaitable):
        value = _await_result(value)
    overrides[name] = _Resolved(value)
    return value


def _await_result(awaitable: Awaitable[T]) -> T:
    """Runs an awaitable to its end, whatever loops run here or elsewhere."""
    import asyncio

    if asyncio.isfuture(awaitable):
        result: T = _future_result(awaitable)
        return result
    loop_runs_here = asyncio._get_running_loop() is not None
    return _on_worker_thread(_run, awaitable) if loop_runs_here else _run(awaitable)


def _future_result(future: Any) -> Any:
    import asyncio

    if future.done():
        return future.result()
    loop = future.get_loop()
    running_here = asyncio._get_running_loop()
    if loop is running_here:
        raise RuntimeError(
            "an override is a future of the event loop that is currently running in this thread,"
            " so waiting for it would never end: await it before reading the field"
        )
    if loop.is_running():
        return asyncio.run_coroutine_threadsafe(_wait_for(future), loop).result()
    if running_here is not None:
        return _on_worker_thread(loop.run_until_complete, future)
    return loop.run_until_complete(future)


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _run(awaitable: Awaitable[T]) -> T:
    """Like ``asyncio.run``, but leaves the current event loop of this thread as it is."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_wait_for(awaitable))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _on_worker_thread(fn: Callable[[Any], T], argument: object) -> T:
    """Calls ``fn`` on another thread, which shares the locks that this one holds, and waits."""
    from concurrent.futures import ThreadPoolExecutor

    locks = list(_holding.locks)

    def share_locks() -> None:
        _holding.locks.extend(locks)

    with ThreadPoolExecutor(1, initializer=share_locks) as worker:
        return worker.submit(fn, argument).result()
