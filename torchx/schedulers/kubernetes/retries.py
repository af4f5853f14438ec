"""What is started again when a replica fails, in the words of Volcano and of plain Jobs. No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torchx.specs.api import RetryPolicy, Role

_RESTART_JOB = (
    {"event": "PodEvicted", "action": "RestartJob"},
    {"event": "PodFailed", "action": "RestartJob"},
)
_RESTART_TASK = (
    {"event": "PodEvicted", "action": "RestartTask"},
    {"event": "PodFailed", "action": "RestartTask"},
)

RETRY_POLICIES: Mapping[str, Iterable[Mapping[str, str]]] = {
    # Each replica is a task of its own.
    RetryPolicy.REPLICA: list(_RESTART_TASK),
    RetryPolicy.APPLICATION: list(_RESTART_JOB),
    # Volcano has nothing between one task and the whole Job.
    RetryPolicy.ROLE: list(_RESTART_JOB),
}
"""Policies of a Volcano task by the retry policy of its role."""


def volcano_task_retries(role: Role) -> dict[str, Any]:
    """Returns what a Volcano task says about retries.

    Args:
        role: The role.

    Returns:
        Fields of the task; none if there are no retries.
    """
    if role.max_retries <= 0:
        return {}
    policies = RETRY_POLICIES[role.retry_policy]
    return {
        "policies": [dict(policy) for policy in policies],
        "maxRetry": role.max_retries,
    }


def volcano_job_retries(roles: Iterable[Role]) -> int:
    """Returns how often a Volcano Job is restarted.

    Args:
        roles: Its roles.

    Returns:
        The least of their retries. Those without any have no policy that restarts, and 0 would
        count as 3.
    """
    counts = [role.max_retries for role in roles]
    return min([count for count in counts if count > 0], default=min(counts))


def warn_of_volcano_retries(roles: Iterable[Role]) -> None:
    """Warns, once for each role, that the retries of Volcano are not what the policy says.

    Args:
        roles: The roles.
    """
    for role in roles:
        if role.max_retries > 0:
            warnings.warn(
                f"role `{role.name}` has max_retries={role.max_retries}: as of Volcano 1.4.0 its"
                " Jobs do not do retries properly, the Job may be restarted fewer times",
                UserWarning,
                stacklevel=4,
            )


def plain_retries(role: Role) -> dict[str, Any]:
    """Returns what a plain Job says about retries.

    Args:
        role: The role.

    Returns:
        Fields of the Job.
    """
    if role.max_retries <= 0:
        return {"backoffLimit": 0}
    fields: dict[str, Any] = {
        "backoffLimit": role.max_retries,
        # Preemption, eviction and drained nodes use up no retries.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                }
            ]
        },
    }
    if role.retry_policy == RetryPolicy.REPLICA and role.num_replicas > 1:
        fields["backoffLimit"] *= role.num_replicas
        fields["backoffLimitPerIndex"] = role.max_retries
        # A replica that has failed for good ends the others.
        fields["maxFailedIndexes"] = 0
    return fields


def unmet_by_plain(roles: list[Role]) -> list[str]:
    """Finds the roles whose retries mean more than plain Jobs do.

    Args:
        roles: All roles of an app.

    Returns:
        Names of those which ask for more than one replica to be started again.
    """
    total = sum(role.num_replicas for role in roles)
    return [
        role.name
        for role in roles
        if role.max_retries > 0
        and (
            (role.retry_policy == RetryPolicy.APPLICATION and total > 1)
            or (role.retry_policy == RetryPolicy.ROLE and role.num_replicas > 1)
        )
    ]
