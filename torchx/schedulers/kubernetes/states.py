"""The words of Kubernetes and Volcano for states, and ours."""

from __future__ import annotations

from torchx.specs.api import AppState, ReplicaState

JOB_STATE: dict[str, AppState] = {
    "Pending": AppState.PENDING,
    "Running": AppState.RUNNING,
    "Aborting": AppState.RUNNING,
    "Restarting": AppState.RUNNING,
    "Completing": AppState.RUNNING,
    "Terminating": AppState.RUNNING,
    "Completed": AppState.SUCCEEDED,
    "Aborted": AppState.CANCELLED,
    "Terminated": AppState.FAILED,
    "Failed": AppState.FAILED,
}
"""State of an app by the phase of its Volcano Job."""

TASK_STATE: dict[str, ReplicaState] = {
    "Pending": ReplicaState.PENDING,
    "Allocated": ReplicaState.PENDING,
    "Pipelined": ReplicaState.PENDING,
    "Binding": ReplicaState.PENDING,
    "Bound": ReplicaState.PENDING,
    "Running": ReplicaState.RUNNING,
    "Releasing": ReplicaState.RUNNING,
    "Succeeded": ReplicaState.SUCCEEDED,
    "Failed": ReplicaState.FAILED,
    "Unknown": ReplicaState.UNKNOWN,
}
"""State of a replica by the phase of its Volcano task."""

POD_STATE: dict[str, ReplicaState] = {
    "Pending": ReplicaState.PENDING,
    "Running": ReplicaState.RUNNING,
    "Succeeded": ReplicaState.SUCCEEDED,
    "Failed": ReplicaState.FAILED,
}
"""State of a replica by the phase of its pod."""
