"""Turns what the engine says about containers into what a scheduler answers. Pure, and total."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.docker.description import (
    LABEL_DESCRIPTION,
    Description,
    read_description,
)
from torchx.schedulers.docker.gpus import LABEL_GPUS, read_label
from torchx.schedulers.docker.request import LABEL_APP_ID, LABEL_REPLICA_ID, LABEL_ROLE_NAME
from torchx.schedulers.docker.submission import ENV_ERROR_FILE
from torchx.specs.api import (
    NONE,
    AppState,
    ReplicaStatus,
    Role,
    RoleStatus,
    is_terminal,
)

CONTAINER_STATE: dict[str, AppState] = {
    "created": AppState.SUBMITTED,
    "restarting": AppState.PENDING,
    "running": AppState.RUNNING,
    "paused": AppState.PENDING,
    "removing": AppState.PENDING,
    "dead": AppState.FAILED,
}
"""State by the engine's word for it; ``exited`` depends on the exit code."""

CANCELLED_SUFFIX = ".cancelled"
"""Ends the name of one container of a cancelled app: names are all that can be changed later."""

_EXITED = re.compile(r"Exited \((-?\d+)\)")
_OUT_OF_MEMORY = (
    "used more memory than its limit of {limit} MiB (memMB of the role), and the kernel"
)
_SHELL_SIGNAL_BASE = 128
_EXIT_CODES = {
    126: ": its entrypoint, or what that ran, is no program; see its log",
    127: ": its entrypoint, or what that ran, is not in the image; see its log",
}
_NAMED_FAILURES = 3


@dataclass(frozen=True)
class Replica:
    """One container of an app.

    Attributes:
        container_id: Id of the container.
        name: Its name as it was submitted, which is its host name.
        image: Its image.
        app_id: Id of the app.
        role: Name of the role.
        replica_id: Number within the role.
        word: The engine's word for its state.
        exit_code: Its exit code, if it has exited.
        is_marked: True if its name says that the app was cancelled.
        gpus: Numbers of the GPUs that it was given.
        description: What its label tells about the role, if it has one.
    """

    container_id: str
    name: str
    image: str
    app_id: str
    role: str
    replica_id: int
    word: str
    exit_code: int | None
    is_marked: bool
    gpus: tuple[int, ...]
    description: Description | None

    @property
    def state(self) -> AppState:
        """Its state, as if the app had not been cancelled."""
        if self.word == "exited":
            return AppState.SUCCEEDED if self.exit_code == 0 else AppState.FAILED
        return CONTAINER_STATE.get(self.word, AppState.UNKNOWN)


@dataclass(frozen=True)
class Detail:
    """What only an inspection of a container tells.

    Attributes:
        restarts: How often it was restarted.
        ran_out_of_memory: True if the kernel killed a process of it for that reason.
        memory_limit_mib: Its memory limit; 0 for none.
        error: Why the engine could not start it, or ``""``.
        finished_at: When it ended, as text that sorts by time.
        error_file: Path of its error file.
    """

    restarts: int
    ran_out_of_memory: bool
    memory_limit_mib: int
    error: str
    finished_at: str
    error_file: str


def read_apps(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[Replica]]:
    """Sorts the containers of a listing by app.

    Args:
        entries: Items of ``GET /containers/json``.

    Returns:
        Id of an app -> its replicas, in the order of its roles.
    """
    apps: dict[str, list[Replica]] = {}
    for entry in entries:
        replica = _read_replica(entry)
        if replica is not None:
            apps.setdefault(replica.app_id, []).append(replica)
    for app_id, replicas in apps.items():
        positions = {
            replica.role: replica.description.position
            for replica in replicas
            if replica.description is not None
        }
        last = len(positions)
        apps[app_id] = sorted(
            replicas,
            key=lambda item: (positions.get(item.role, last), item.role, item.replica_id),
        )
    return apps


def read_detail(inspection: Mapping[str, Any]) -> Detail:
    """Reads what an inspection tells.

    Args:
        inspection: Answer of ``GET /containers/ID/json``.

    Returns:
        The part that matters here.
    """
    state: Mapping[str, Any] = inspection.get("State") or {}
    host_config: Mapping[str, Any] = inspection.get("HostConfig") or {}
    config: Mapping[str, Any] = inspection.get("Config") or {}
    prefix = f"{ENV_ERROR_FILE}="
    error_files = [
        item.removeprefix(prefix) for item in config.get("Env") or () if item.startswith(prefix)
    ]
    return Detail(
        restarts=int(inspection.get("RestartCount") or 0),
        ran_out_of_memory=bool(state.get("OOMKilled")),
        memory_limit_mib=int(host_config.get("Memory") or 0) >> 20,
        error=str(state.get("Error") or ""),
        finished_at=str(state.get("FinishedAt") or ""),
        error_file=error_files[-1] if error_files else "",
    )


def exit_code_of(status: str) -> int | None:
    """Reads the exit code out of the engine's sentence about a container.

    Args:
        status: For example ``Exited (1) 5 minutes ago``.

    Returns:
        The exit code; ``None`` if there is none.
    """
    found = _EXITED.match(status)
    return int(found[1]) if found else None


def app_state(replicas: Sequence[Replica]) -> AppState:
    """Tells the state of an app.

    Args:
        replicas: Its replicas, at least one.

    Returns:
        The state. An app has ended when all its replicas have.
    """
    is_cancelled = any(replica.is_marked for replica in replicas)
    states = [replica_state(replica, is_cancelled=is_cancelled) for replica in replicas]
    active = [state for state in states if not is_terminal(state)]
    if active:
        return AppState.RUNNING if AppState.RUNNING in active else active[0]
    if is_cancelled:
        return AppState.CANCELLED
    if all(state == AppState.SUCCEEDED for state in states):
        return AppState.SUCCEEDED
    return AppState.FAILED


def replica_state(replica: Replica, *, is_cancelled: bool) -> AppState:
    """Tells the state of a replica.

    Args:
        replica: The replica.
        is_cancelled: True if its app was cancelled.

    Returns:
        The state.
    """
    state = replica.state
    was_ended = replica.word in ("created", "dead") or state == AppState.FAILED
    return AppState.CANCELLED if is_cancelled and was_ended else state


def describe(
    replicas: Sequence[Replica],
    details: Mapping[str, Detail] | None = None,
    errors: Mapping[str, str] | None = None,
) -> DescribeAppResponse:
    """Answers what is known about an app.

    Args:
        replicas: Its replicas in order, at least one.
        details: Id of a container -> what its inspection told; ``None`` if none was inspected.
        errors: Id of a container -> content of its error file as JSON.

    Returns:
        The answer.
    """
    num_restarts = -1 if details is None else sum(item.restarts for item in details.values())
    details, errors = details or {}, errors or {}
    is_cancelled = any(replica.is_marked for replica in replicas)
    state = app_state(replicas)
    by_role: dict[str, list[Replica]] = {}
    for replica in replicas:
        by_role.setdefault(replica.role, []).append(replica)
    failed = failures(replicas, details)
    return DescribeAppResponse(
        app_id=replicas[0].app_id,
        state=state,
        num_restarts=num_restarts,
        msg=_message(replicas, state, failed, details) or NONE,
        structured_error_msg=next(
            (errors[item.container_id] for item in failed if item.container_id in errors), NONE
        ),
        roles_statuses=[
            RoleStatus(
                name,
                [
                    ReplicaStatus(
                        id=item.replica_id,
                        role=name,
                        state=replica_state(item, is_cancelled=is_cancelled),
                        hostname=item.name,
                        structured_error_msg=errors.get(item.container_id, NONE),
                    )
                    for item in items
                ],
            )
            for name, items in by_role.items()
        ],
        roles=[_role(name, items) for name, items in by_role.items()],
    )


def list_entry(replicas: Sequence[Replica]) -> ListAppResponse:
    """Answers with one line about an app.

    Args:
        replicas: Its replicas, at least one.

    Returns:
        The line.
    """
    description = description_of(replicas)
    return ListAppResponse(
        app_id=replicas[0].app_id,
        state=app_state(replicas),
        name=description.app_name if description else "",
    )


def description_of(replicas: Sequence[Replica]) -> Description | None:
    """Finds a label that tells about the app.

    Args:
        replicas: Its replicas.

    Returns:
        What it tells; ``None`` if no container has one.
    """
    return next((item.description for item in replicas if item.description is not None), None)


def failures(replicas: Sequence[Replica], details: Mapping[str, Detail]) -> list[Replica]:
    """Picks the replicas that failed.

    Args:
        replicas: All replicas of the app.
        details: Id of a container -> what its inspection told.

    Returns:
        Those that failed, the first one to do so first.
    """

    def ended(replica: Replica) -> str:
        detail = details.get(replica.container_id)
        return detail.finished_at if detail else "~"

    failed = [item for item in replicas if item.state == AppState.FAILED]
    return sorted(failed, key=ended)


def _read_replica(entry: Mapping[str, Any]) -> Replica | None:
    labels: Mapping[str, str] = entry.get("Labels") or {}
    app_id = labels.get(LABEL_APP_ID)
    if app_id is None:
        return None
    number = labels.get(LABEL_REPLICA_ID, "")
    names: Sequence[str] = entry.get("Names") or [""]
    # A container that others link to is listed under their names, too.
    name = min(names, key=lambda name: name.count("/")).lstrip("/")
    return Replica(
        container_id=entry["Id"],
        name=name.removesuffix(CANCELLED_SUFFIX),
        image=str(entry.get("Image") or ""),
        app_id=app_id,
        role=labels.get(LABEL_ROLE_NAME, ""),
        replica_id=int(number) if number.isdecimal() else 0,
        word=str(entry.get("State") or ""),
        exit_code=exit_code_of(str(entry.get("Status") or "")),
        is_marked=name.endswith(CANCELLED_SUFFIX),
        gpus=tuple(read_label(labels.get(LABEL_GPUS))),
        description=read_description(labels.get(LABEL_DESCRIPTION)),
    )


def _role(name: str, replicas: Sequence[Replica]) -> Role:
    description = description_of(replicas)
    if description is not None:
        return description.role
    return Role(name=name, image=replicas[0].image, num_replicas=len(replicas))


def _message(
    replicas: Sequence[Replica],
    state: AppState,
    failed: Sequence[Replica],
    details: Mapping[str, Detail],
) -> str:
    if state == AppState.CANCELLED:
        return ""
    if failed:
        told = [_failure(item, details.get(item.container_id)) for item in failed[:_NAMED_FAILURES]]
        more = len(failed) - len(told)
        return "; ".join([*told, *([f"{more} more replicas failed"] if more else [])])
    unknown = [item for item in replicas if item.state == AppState.UNKNOWN]
    if unknown:
        return f"Docker says `{unknown[0].word}` about {_label(unknown[0])}"
    description = description_of(replicas)
    wanted = description.num_replicas if description else len(replicas)
    started = sum(item.word != "created" for item in replicas)
    if started < wanted and not is_terminal(state):
        return (
            f"{started} of {wanted} replicas have been started; if that does not change, the"
            " process that submitted the app was ended: cancel it"
        )
    return _waiting(replicas)


def _waiting(replicas: Sequence[Replica]) -> str:
    for word, why in (("restarting", "is about to be restarted"), ("paused", "is paused")):
        found = [item for item in replicas if item.word == word]
        if found:
            return f"{_label(found[0])} {why}"
    return ""


def _failure(replica: Replica, detail: Detail | None) -> str:
    label = _label(replica)
    if replica.exit_code is None:
        return f"{label} failed: Docker says `{replica.word}`"
    if detail is not None and detail.error:
        return f"{label} could not be started: {detail.error}"
    code = f"exit code {replica.exit_code}{_signal_name(replica.exit_code)}"
    if detail is not None and detail.ran_out_of_memory:
        return (
            f"{label} ran out of memory: the kernel killed it for using more than the"
            f" {detail.memory_limit_mib} MiB that its role asks for (memMB), {code}"
        )
    return f"{label} failed with {code}{_EXIT_CODES.get(replica.exit_code, '')}"


def _label(replica: Replica) -> str:
    return f"replica {replica.role}/{replica.replica_id}"


def _signal_name(exit_code: int) -> str:
    try:
        return f" ({signal.Signals(exit_code - _SHELL_SIGNAL_BASE).name})"
    except ValueError:
        return ""
