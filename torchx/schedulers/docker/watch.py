"""Waits for changes of an app by the engine's events."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.request import LABEL_APP_ID
from torchx.util.docker_client import is_connection_lost, status_of

if TYPE_CHECKING:
    from requests import Response

_ACTIONS = ("create", "start", "die", "pause", "unpause", "rename", "destroy", "oom")
_SHORTEST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0
_PAUSE_WITHOUT_EVENTS_S = 0.5


def wait_for_event(
    engine: Engine, app_id: str, has_changed: Callable[[], bool], timeout_s: float
) -> None:
    """Returns when something has happened to a container of an app.

    Args:
        engine: The engine.
        app_id: Id of the app.
        has_changed: Tells whether it has happened before: asked once the engine reports events,
            and every five seconds.
        timeout_s: Longest time to wait, in seconds.
    """
    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            events = _subscribe(engine, app_id, min(left_s, _LONGEST_WAIT_S))
        except Exception as error:
            if not is_connection_lost(error) and status_of(error) is None:
                raise
            # The next question waits for the engine, or tells that it is gone.
            time.sleep(min(left_s, _PAUSE_WITHOUT_EVENTS_S))
            return
        with contextlib.closing(events):
            if has_changed():
                return
            event = _next_event(events)
        if event is not None:
            # The engine tells of an end a moment before its lists know; asked about the container
            # itself, it answers when they do.
            engine.inspect(str(event.get("Actor", {}).get("ID", "")))
            return


def _subscribe(engine: Engine, app_id: str, timeout_s: float) -> Response:
    filters = {
        "type": ["container"],
        "event": list(_ACTIONS),
        "label": [f"{LABEL_APP_ID}={app_id}"],
    }
    params = {"filters": json.dumps(filters)}
    return engine.stream("/events", params, max(timeout_s, _SHORTEST_WAIT_S))


def _next_event(events: Response) -> dict[str, Any] | None:
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        for line in events.iter_lines(chunk_size=None):
            event: dict[str, Any] = json.loads(line)
            return event
    except (RequestException, HTTPError, OSError, ValueError):
        return None  # no event in time, or no engine
    return None
