"""What the words of Slurm mean: states of jobs, and the reasons why they wait or have ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torchx.specs.api import AppState

SLURM_STATES: Mapping[str, AppState] = {
    "BOOT_FAIL": AppState.FAILED,
    "CANCELLED": AppState.CANCELLED,
    "COMPLETED": AppState.SUCCEEDED,
    "DEADLINE": AppState.FAILED,
    "FAILED": AppState.FAILED,
    "NODE_FAIL": AppState.FAILED,
    "OUT_OF_MEMORY": AppState.FAILED,
    "PENDING": AppState.PENDING,
    "PREEMPTED": AppState.FAILED,
    "RUNNING": AppState.RUNNING,
    "REQUEUED": AppState.PENDING,
    "RESIZING": AppState.PENDING,
    "REVOKED": AppState.FAILED,
    "SUSPENDED": AppState.PENDING,
    "TIMEOUT": AppState.FAILED,
    # Packages look for the first key that a text starts with: no new key may hide one above.
    "COMPLETING": AppState.RUNNING,
    "CONFIGURING": AppState.PENDING,
    "EXPEDITING": AppState.PENDING,
    "LAUNCH_FAILED": AppState.FAILED,
    "POWER_UP_NODE": AppState.PENDING,
    "RECONFIG_FAIL": AppState.FAILED,
    "REQUEUE_FED": AppState.PENDING,
    "REQUEUE_HOLD": AppState.PENDING,
    "RESV_DEL_HOLD": AppState.PENDING,
    "SIGNALING": AppState.RUNNING,
    "STAGE_OUT": AppState.RUNNING,
    "STOPPED": AppState.PENDING,
    "UPDATE_DB": AppState.RUNNING,
}
"""Word of Slurm -> state. A word that is missing, such as ``SPECIAL_EXIT``, is ``UNKNOWN``."""

ENDINGS: Mapping[str, str] = {
    "BOOT_FAIL": "its nodes did not boot",
    "CANCELLED": "cancelled",
    "DEADLINE": "it could not end before its deadline",
    "LAUNCH_FAILED": "it could not be launched on its nodes",
    "NODE_FAIL": "a node failed",
    "OUT_OF_MEMORY": "it used more memory than it had asked for; ask for more",
    "PREEMPTED": "a job of higher priority took its place",
    "RECONFIG_FAIL": "its nodes could not be reconfigured",
    "REVOKED": "a sibling of it started on another cluster",
    "TIMEOUT": "it reached its time limit",
}
"""State -> why a job that is in it has ended."""

REASONS: Mapping[str, str] = {
    "AccountNotAllowed": "this account may not use the partition",
    "AccountingPolicy": "a limit of the account is reached",
    "AssociationJobLimit": "the account runs as many jobs as it may",
    "AssociationResourceLimit": "the account uses as much as it may",
    "AssociationTimeLimit": "the account has used up its time",
    "BadConstraints": "no nodes can ever satisfy its constraints",
    "BeginTime": "it may not begin yet",
    "BurstBufferOperation": "its burst buffer is not ready",
    "BurstBufferResources": "no burst buffer is free",
    "BurstBufferStageIn": "its burst buffer is being filled",
    "Cleaning": "its previous attempt is being cleaned up",
    "DeadLine": "it missed its deadline",
    "Dependency": "it waits for other jobs",
    "DependencyNeverSatisfied": "the jobs that it depends on did not end as it asks, so it will"
    " never start: cancel it",
    "FedJobLock": "the clusters of the federation agree on where it runs",
    "InvalidAccount": "its account is invalid",
    "InvalidQOS": "its quality of service is invalid",
    "JobArrayTaskLimit": "as many tasks of its array run as may",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "its owner holds it; release it with `scontrol release`",
    "JobHoldMaxRequeue": "it was requeued too often",
    "JobLaunchFailure": "it could not be launched; a file system may be missing on the node",
    "Licenses": "no license is free",
    "MaxMemPerLimit": "it asks for more memory than the partition allows",
    "NodeDown": "a node that it needs is down",
    "NonZeroExitCode": "it ended with a failure",
    "None": "it has just been submitted",
    "OutOfMemory": "it used more memory than it had asked for",
    "PartitionConfig": "it asks for more than the partition allows",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is inactive",
    "PartitionNodeLimit": "it asks for more nodes than the partition has or allows",
    "PartitionTimeLimit": "it asks for more time than the partition allows",
    "Priority": "other jobs have priority",
    "Prolog": "its prolog is running",
    "QOSJobLimit": "its quality of service runs as many jobs as it may",
    "QOSNotAllowed": "its quality of service may not use the partition",
    "QOSResourceLimit": "its quality of service uses as much as it may",
    "QOSTimeLimit": "its quality of service has used up its time",
    "QOSUsageThreshold": "its use is above the threshold of its quality of service",
    "RaisedSignal": "it was ended by a signal",
    "ReqNodeNotAvail": "nodes that it needs are down, drained or reserved",
    "ReqNodeNotAvail, May be reserved for other job": "nodes that it needs may be reserved",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted",
    "Resources": "it waits for resources to become free",
    "SchedDefer": "it waits for the next round of scheduling",
    "SystemFailure": "Slurm, a file system or the network failed",
    "TimeLimit": "it reached its time limit",
    "launch failed requeued held": "it could not be launched and is held",
}
"""Why a job waits, or in what way it has ended -> the same for a person."""

_REASON_FAMILIES: Mapping[str, str] = {
    "Assoc": "a limit of the account is reached",
    "Max": "a limit is reached",
    "Nodes_required_for_job_are_DOWN": "nodes that it needs are down, drained or reserved",
    "QOS": "a limit of its quality of service is reached",
    "Qos": "a limit of its quality of service is reached",
    "ReqNodeNotAvail": "nodes that it needs are down, drained or reserved",
    "launch failed": "it could not be launched",
}

# From what is still to come to what is over: the first that any component is in counts.
_BY_WEIGHT = (
    AppState.RUNNING,
    AppState.PENDING,
    AppState.UNKNOWN,
    AppState.FAILED,
    AppState.CANCELLED,
    AppState.SUCCEEDED,
)


def appstate_from_slurm_state(slurm_state: str) -> AppState:
    """Translates one word of Slurm.

    Args:
        slurm_state: A job state such as ``RUNNING``.

    Returns:
        The state; ``UNKNOWN`` for any other text.
    """
    return SLURM_STATES.get(slurm_state, AppState.UNKNOWN)


def state_word(text: str) -> str:
    """Cuts a state as sacct prints it down to its word.

    Args:
        text: For example ``CANCELLED by 1000`` or ``CANCELLED+``.

    Returns:
        The word, or ``""``.
    """
    words = text.split(maxsplit=1)
    return words[0].rstrip("+") if words else ""


def combined_state(states: Iterable[AppState]) -> AppState:
    """Tells the state of an app by those of its components.

    Args:
        states: The states of the components.

    Returns:
        Running if any runs, else pending if any waits, else failed if any failed, else cancelled
        if any was, else succeeded; unknown if there are none.
    """
    found = set(states)
    return next((state for state in _BY_WEIGHT if state in found), AppState.UNKNOWN)


def explain_reason(reason: str) -> str:
    """Says for a person why a job waits or has ended.

    Args:
        reason: The word of Slurm, such as ``Priority`` or ``QOSMaxCpuPerUserLimit``.

    Returns:
        A sentence without its end, with the word of Slurm where that says more.
    """
    for spelling in (reason, reason.replace("_", " ")):
        if spelling in REASONS:
            return REASONS[spelling]
    for start, text in _REASON_FAMILIES.items():
        if reason.startswith(start):
            return f"{text} ({reason})"
    return reason
