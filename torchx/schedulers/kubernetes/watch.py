"""Keeps lists of objects up to date by watches: any number of apps is waited for with one."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torchx.schedulers.kubernetes.errors import KubernetesError, answer_error
from torchx.schedulers.kubernetes.wire import Json, Wire, hang_up, pieces

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

_WATCH_S = 300
_SILENCE_S = 330.0
_INTEREST_S = 30.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 15.0
_FIRST_TRIES = 4
_EXPIRED = 410


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list to keep up to date.

    Attributes:
        path: Path of the list.
        what: What it holds, for errors: ``jobs in namespace team``.
        selector: Label selector; ``""`` for all.
        read: Turns an object into what is kept of it.
        app_of: Names the app of an object.
    """

    path: str
    what: str
    selector: str
    read: Callable[[Json], T]
    app_of: Callable[[Json], str]


class Watch(Generic[T]):
    """Keeps one list up to date, on a thread that lives as long as anybody asks.

    Args:
        wire: Requests to the API server.
        listing: The list.
    """

    def __init__(self, wire: Wire, listing: Listing[T]) -> None:
        self._wire = wire
        self._listing = listing
        self._changed = threading.Condition()
        self._kept: dict[str, T] = {}
        self._versions: dict[str, int] = {}
        self._count = 0
        self._is_complete = False
        self._error: KubernetesError | None = None
        self._wanted_until_s = 0.0
        self._thread: threading.Thread | None = None
        self._response: BaseHTTPResponse | None = None

    def objects(self) -> tuple[dict[str, T], int]:
        """Tells what is in the list now, waiting for the first answer.

        Returns:
            Name of an object -> what is kept of it, and a number that grows with each change.

        Raises:
            KubernetesError: The list cannot be watched.
        """
        with self._changed:
            self._want()
            while not self._is_complete and self._error is None:
                self._changed.wait(_INTEREST_S / 2)
                self._stay_interested()
            if self._error is not None:
                raise self._error
            return dict(self._kept), self._count

    def wait(self, count: int, timeout_s: float) -> None:
        """Returns when the list has changed.

        Args:
            count: Number that :meth:`objects` gave.
            timeout_s: Longest time to wait, in seconds.
        """
        with self._changed:
            self._want()
            self._changed.wait_for(lambda: self._count != count or self._error, timeout_s)

    def wait_for_app(self, app: str, version: int, timeout_s: float) -> None:
        """Returns when an object of an app is newer than what was seen of it.

        Args:
            app: The app.
            version: Highest resource version that was seen of it.
            timeout_s: Longest time to wait, in seconds.

        Raises:
            KubernetesError: The list cannot be watched.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._want()
            while True:
                self._stay_interested()
                if self._error is not None:
                    raise self._error
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self._versions.get(app, 0) > version:
                    return
                self._changed.wait(min(left_s, _INTEREST_S / 2))

    def close(self) -> None:
        """Ends the watch. Repeatable; it starts again when somebody asks."""
        with self._changed:
            self._wanted_until_s = 0.0
            response = self._response
            self._changed.notify_all()
        if response is not None:
            hang_up(response)

    def _stay_interested(self) -> None:
        self._wanted_until_s = time.monotonic() + _INTEREST_S

    def _want(self) -> None:
        self._stay_interested()
        if self._thread is None:
            self._error = None
            self._thread = threading.Thread(target=self._run, name="kubernetes-watch", daemon=True)
            self._thread.start()

    def _goes_on(self) -> bool:
        with self._changed:
            if time.monotonic() < self._wanted_until_s:
                return True
            self._is_complete = False
            self._thread = None
            return False

    def _run(self) -> None:
        version, pause_s, failures = "", _FIRST_PAUSE_S, 0
        while self._goes_on():
            started_s = time.monotonic()
            try:
                version = version or self._list()
                version = self._follow(version)
                error = None
            except KubernetesError as failure:
                error = failure
                version = "" if failure.status == _EXPIRED else version
            failures = failures + 1 if error is not None else 0
            gives_up = failures > _FIRST_TRIES and not self._is_complete
            if error is not None and (not error.transient or gives_up):
                self._fail(error)
                return
            if time.monotonic() - started_s > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            if error is not None:
                log.debug("watching %s is tried again: %s", self._listing.what, error)
            self._pause((error.retry_after_s if error else None) or pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _pause(self, pause_s: float) -> None:
        deadline_s = time.monotonic() + min(pause_s, _LONGEST_PAUSE_S)
        with self._changed:
            while (left_s := deadline_s - time.monotonic()) > 0 and self._wanted_until_s:
                self._changed.wait(left_s)

    def _fail(self, error: KubernetesError) -> None:
        with self._changed:
            self._error = error
            self._thread = None
            self._is_complete = False
            self._changed.notify_all()

    def _query(self) -> dict[str, str | int]:
        selector = self._listing.selector
        return {"labelSelector": selector} if selector else {}

    def _list(self) -> str:
        what = f"list {self._listing.what}"
        answer = self._wire.get(self._listing.path, what, **self._query())
        items = answer.get("items") or ()
        with self._changed:
            self._kept = {}
            for item in items:
                self._take(item)
            self._is_complete = True
            self._note()
        return str((answer.get("metadata") or {}).get("resourceVersion") or "")

    def _follow(self, version: str) -> str:
        from urllib3.exceptions import HTTPError

        response = self._wire.stream(
            self._listing.path,
            f"watch {self._listing.what}",
            _SILENCE_S,
            watch=1,
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=_WATCH_S,
            **self._query(),
        )
        self._response = response
        try:
            held = b""
            for piece in pieces(response):
                *lines, held = (held + piece).split(b"\n")
                for line in filter(None, lines):
                    version = self._event(json.loads(line)) or version
                if not self._goes_on_quietly():
                    break
        except (HTTPError, OSError, AttributeError, ValueError) as error:
            # AttributeError: the connection was closed by another thread while it was read.
            log.debug("the watch of %s broke: %s", self._listing.what, error)
        finally:
            self._response = None
            with contextlib.suppress(HTTPError, OSError):
                response.close()
        return version

    def _goes_on_quietly(self) -> bool:
        return time.monotonic() < self._wanted_until_s

    def _event(self, event: Mapping[str, Any]) -> str:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            code = int(item.get("code") or 0)
            raise answer_error(
                f"watch {self._listing.what}", code, {}, json.dumps(item), self._listing.path
            )
        metadata = item.get("metadata") or {}
        if kind != "BOOKMARK":
            with self._changed:
                self._take(item)
                if kind == "DELETED":
                    self._kept.pop(metadata.get("name") or "", None)
                self._note()
        return str(metadata.get("resourceVersion") or "")

    def _take(self, item: Json) -> None:
        name = (item.get("metadata") or {}).get("name") or ""
        self._kept[name] = self._listing.read(item)
        app = self._listing.app_of(item)
        self._versions[app] = max(self._versions.get(app, 0), version_of(item))

    def _note(self) -> None:
        self._count += 1
        self._changed.notify_all()


class Watches:
    """The watches of a scheduler, one for each list."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[tuple[str, str], Watch[Any]] = {}

    def of(self, wire: Wire, listing: Listing[T]) -> Watch[T]:
        """Returns the watch of a list.

        Args:
            wire: Requests to the API server.
            listing: The list.

        Returns:
            The watch, the same for the same list.
        """
        with self._lock:
            key = (listing.path, listing.selector)
            if key not in self._watches:
                self._watches[key] = Watch(wire, listing)
            return self._watches[key]

    def close(self) -> None:
        """Ends all watches. Repeatable."""
        with self._lock:
            for watch in self._watches.values():
                watch.close()


def version_of(item: Json) -> int:
    """Reads the resource version of an object as a number, which grows with each change.

    Args:
        item: The object.

    Returns:
        The number; 0 if it is none.
    """
    version = str((item.get("metadata") or {}).get("resourceVersion") or "")
    return int(version) if version.isdecimal() else 0
