"""The words of MCAD for states, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.specs.api import AppState, ReplicaState

JOB_STATE: dict[str, AppState] = {
    "Pending": AppState.PENDING,
    "Running": AppState.RUNNING,
    "RunningHoldCompletion": AppState.RUNNING,
    "Completed": AppState.SUCCEEDED,
    "Deleted": AppState.CANCELLED,
    "Failed": AppState.FAILED,
}
"""State of an app by the state of its AppWrapper."""

TASK_STATE: dict[str, ReplicaState] = {
    "Pending dispatch": ReplicaState.PENDING,
    "pending": ReplicaState.PENDING,
    "running": ReplicaState.RUNNING,
    "Succeeded": ReplicaState.SUCCEEDED,
    "failed": ReplicaState.FAILED,
    "Unknown": ReplicaState.UNKNOWN,
}
"""State of a replica by the count of an AppWrapper that it is part of."""

COUNTS = ("running", "pending", "failed", "Succeeded")
"""The counts of an AppWrapper, in the order in which they are dealt out to replicas."""


def get_tasks_status_description(status: Mapping[str, Any]) -> dict[str, int]:
    """Takes the counts of pods from the status of an AppWrapper.

    Args:
        status: The status.

    Returns:
        The counts that are there, as they are.
    """
    return {name: status[name] for name in COUNTS if name in status}
