"""Notes of apps that were cancelled from here: of those, nothing is left in their cluster."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.batch.files import read_text, write_private
from torchx.specs.api import (
    TORCHX_HOME,
    AppState,
    ReplicaState,
    ReplicaStatus,
    Role,
    RoleStatus,
    is_terminal,
)

_KEPT_S = 30 * 24 * 3600


def note_cancelled(app_id: str, seen: DescribeAppResponse | None) -> None:
    """Notes that an app was cancelled.

    Args:
        app_id: Its id.
        seen: What it was when it was last described, if it was.
    """
    _prune()
    sizes = {} if seen is None else {role.name: role.num_replicas for role in seen.roles}
    ended = {} if seen is None else _ended(seen.roles_statuses)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    note = {"cancelled_at": now, "roles": sizes, "ended": ended}
    path = _path(app_id)
    # Whoever reads it at the same time finds all of it, or nothing.
    unfinished = f"{path}.{os.getpid()}"
    write_private(unfinished, json.dumps(note))
    os.replace(unfinished, path)


def recall(app_id: str) -> DescribeAppResponse | None:
    """Describes an app that was cancelled from here.

    Args:
        app_id: Its id.

    Returns:
        The description; ``None`` if there is no note of it.
    """
    text = read_text(_path(app_id))
    if text is None:
        return None
    note = json.loads(text)
    sizes: dict[str, int] = note["roles"]
    ended: dict[str, str] = note["ended"]
    return DescribeAppResponse(
        app_id=app_id,
        state=AppState.CANCELLED,
        msg=f"it was cancelled at {note['cancelled_at']}, and its pods and logs were removed",
        roles=[Role(name, image="", num_replicas=size) for name, size in sizes.items()],
        roles_statuses=[
            RoleStatus(
                name,
                [
                    ReplicaStatus(
                        id=number,
                        role=name,
                        state=getattr(ReplicaState, ended.get(f"{name}/{number}", "CANCELLED")),
                        hostname="",
                    )
                    for number in range(size)
                ],
            )
            for name, size in sizes.items()
        ],
    )


def forget(app_id: str) -> None:
    """Removes the note of an app, if there is one.

    Args:
        app_id: Its id.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(app_id))


def _ended(statuses: Sequence[RoleStatus]) -> dict[str, str]:
    return {
        f"{replica.role}/{replica.id}": replica.state.name
        for status in statuses
        for replica in status.replicas
        if is_terminal(replica.state)
    }


def _path(app_id: str) -> str:
    directory = TORCHX_HOME("kubernetes_mcad", "cancelled")
    return str(directory / f"{quote(app_id, safe='')}.json")


def _prune() -> None:
    oldest_s = time.time() - _KEPT_S
    for path in TORCHX_HOME("kubernetes_mcad", "cancelled").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest_s:
                path.unlink()
