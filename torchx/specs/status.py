"""The state of a job, its roles and its replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, field
from enum import Enum
from typing import Any

from torchx.errors import TorchXError
from torchx.specs.app import NONE
from torchx.util.records import record


class AppState(int, Enum):
    """State of an app or of a replica.

    ``UNSUBMITTED`` -> ``SUBMITTED`` -> ``PENDING`` -> ``RUNNING`` -> one of ``SUCCEEDED``,
    ``FAILED`` and ``CANCELLED``. Preemption leads from ``RUNNING`` back to ``PENDING``.
    """

    UNSUBMITTED = 0
    """Not yet handed to the scheduler."""

    SUBMITTED = 1
    """Accepted by the scheduler."""

    PENDING = 2
    """Waiting for resources."""

    RUNNING = 3
    """Running."""

    SUCCEEDED = 4
    """Ended well."""

    FAILED = 5
    """Ended badly."""

    CANCELLED = 6
    """Ended by somebody before it was complete."""

    UNKNOWN = 7
    """The scheduler cannot tell; neither started nor ended."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.name} ({self.value})"


ReplicaState = AppState
"""Replicas have the same states as apps."""

_TERMINAL_STATES: list[AppState] = [AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED]
_STARTED_STATES: list[AppState] = [*_TERMINAL_STATES, AppState.RUNNING]


def is_terminal(state: AppState) -> bool:
    """Tells whether a state is final.

    Args:
        state: The state.

    Returns:
        True for ``SUCCEEDED``, ``FAILED`` and ``CANCELLED``.
    """
    return state in _TERMINAL_STATES


def is_started(state: AppState) -> bool:
    """Tells whether something in this state runs or has run.

    Args:
        state: The state.

    Returns:
        True for ``RUNNING`` and for the final states.
    """
    return state in _STARTED_STATES


@record
class ReplicaStatus:
    """State of one replica.

    Args:
        id: Number of the replica within its role, from 0.
        state: Its state.
        role: Name of its role.
        hostname: Name of its host.
        structured_error_msg: Content of the error file that it wrote, JSON as a rule.
        hostaddr: Address of its host, by default the name.
    """

    id: int
    state: ReplicaState
    role: str
    hostname: str
    structured_error_msg: str = NONE
    hostaddr: str | None = None

    def __post_init__(self) -> None:
        if self.hostaddr is None:
            self.hostaddr = self.hostname


@record
class ReplicaUsage:
    """What the processes of a replica use.

    Args:
        rss_bytes: Resident memory, in bytes.
        cpu_time_s: CPU time since the start, in seconds.
    """

    rss_bytes: int
    cpu_time_s: float


@record
class MeasuredReplicaStatus(ReplicaStatus):
    """State of one replica, and what it uses.

    Args:
        usage: The measurement, or ``None`` if there is none.
    """

    usage: ReplicaUsage | None = None


@record
class RoleStatus:
    """State of one role.

    Args:
        role: Name of the role.
        replicas: State of its replicas.
    """

    role: str
    replicas: list[ReplicaStatus]

    def to_json(self) -> dict[str, Any]:
        """Returns the status as data that can be written as JSON.

        Returns:
            ``role`` and ``replicas``, each replica with its fields.
        """
        return {"role": self.role, "replicas": [asdict(replica) for replica in self.replicas]}


class AppStatusError(TorchXError):
    """An app did not succeed.

    Args:
        status: Status of the app.
        *args: The message.

    Attributes:
        status: Status of the app.
    """

    def __init__(self, status: AppStatus, *args: object) -> None:
        super().__init__(f"job did not succeed: {status.state}")
        if args:
            self.args = args
        self.status = status

    def __reduce__(self) -> tuple[type[AppStatusError], tuple[object, ...]]:
        return type(self), (self.status, *self.args)


@record
class AppStatus:
    """State of an app.

    Args:
        state: State of the whole app.
        num_restarts: How often it was started again.
        msg: What the scheduler says about the state.
        structured_error_msg: Error file of the replica that failed first, JSON as a rule.
        ui_url: Where to look at the app in a browser.
        roles: State of the roles in the latest attempt.
    """

    state: AppState
    num_restarts: int = 0
    msg: str = ""
    structured_error_msg: str = NONE
    ui_url: str | None = None
    roles: list[RoleStatus] = field(default_factory=list)

    def is_terminal(self) -> bool:
        """Tells whether the app has ended.

        Returns:
            True if the state is final.
        """
        return is_terminal(self.state)

    def raise_for_status(self) -> None:
        """Does nothing if the app succeeded.

        Raises:
            AppStatusError: The app is in any other state, also if it still runs.
        """
        if self.state != AppState.SUCCEEDED:
            raise AppStatusError(self, f"job did not succeed: {self!r}")

    def to_json(self, filter_roles: list[str] | None = None) -> dict[str, Any]:
        """Returns the status as data that can be written as JSON.

        Args:
            filter_roles: Names of the roles to include, by default all.

        Returns:
            ``state`` (its name), ``num_restarts``, ``roles``, ``msg``, ``structured_error_msg`` and
            ``url``.
        """
        return {
            "state": str(self.state),
            "num_restarts": self.num_restarts,
            "roles": [role.to_json() for role in self._roles(filter_roles)],
            "msg": self.msg,
            "structured_error_msg": self.structured_error_msg,
            "url": self.ui_url,
        }

    def format(self, filter_roles: list[str] | None = None) -> str:
        """Returns the status as text for people.

        Args:
            filter_roles: Names of the roles to include, by default all.

        Returns:
            Several lines: the app, then one entry for each replica with its error.
        """
        from torchx.specs.status_format import format_replica

        replicas = "".join(
            format_replica(replica)
            for role in self._roles(filter_roles)
            for replica in sorted(role.replicas, key=lambda replica: replica.id)
        )
        return (
            "AppStatus:\n"
            f"    State: {self.state}\n"
            f"    Num Restarts: {self.num_restarts}\n"
            f"    Roles: {replicas}\n"
            f"    Msg: {self.msg}\n"
            f"    Structured Error Msg: {self.structured_error_msg}\n"
            f"    UI URL: {self.ui_url}\n"
            "    "
        )

    def _roles(self, names: list[str] | None) -> Iterator[RoleStatus]:
        return (role for role in self.roles if not names or role.role in names)

    @staticmethod
    def _format_error_message(msg: str, header: str, width: int = 80) -> str:
        from torchx.specs.status_format import format_error_message

        return format_error_message(msg, header, width)

    def __repr__(self) -> str:
        from torchx.specs.status_format import to_yaml

        return to_yaml(self)
