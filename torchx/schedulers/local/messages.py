"""The plain data that the launcher, the supervisor and the disk exchange."""

from __future__ import annotations

from typing import TypedDict


class MachineRecord(TypedDict):
    """Where process ids are valid."""

    boot_id: str
    pid_namespace: str
    host: str


class OwnerRecord(MachineRecord):
    """The process that keeps a record up to date."""

    pid: int
    start_ticks: int | None


class RoleRecord(TypedDict):
    """A role as it was submitted, without secrets and without the values of its environment."""

    name: str
    image: str
    entrypoint: str
    args: list[str]
    env_names: list[str]
    num_replicas: int
    max_retries: int
    retry_policy: str
    cpu: int
    gpu: int
    memory_mib: int


class ReplicaRecord(TypedDict):
    """One replica; ``attempt`` counts from 0, ``exit_code`` is negative for a signal."""

    role: str
    id: int
    state: str
    pid: int | None
    start_ticks: int | None
    exit_code: int | None
    attempt: int
    gpus: list[str]
    stdout: str | None
    stderr: str | None
    combined: str | None
    error_file: str


class _LaterAppRecord(TypedDict, total=False):
    """What records of the first releases lack."""

    made_log_dir: bool


class AppRecord(_LaterAppRecord):
    """All that is known about an app; times are seconds since the epoch.

    ``generation`` counts the changes. It is 0 as long as the app is being started. The owner is
    its supervisor from the start. ``owns_logs`` says that the logs are kept with the record,
    ``made_log_dir`` that their directory did not exist before.
    """

    format: int
    generation: int
    app_id: str
    name: str
    session: str
    state: str
    msg: str
    num_restarts: int
    created: float
    ended: float | None
    grace_period_s: float
    owner: OwnerRecord
    log_dir: str
    owns_logs: bool
    roles: list[RoleRecord]
    replicas: list[ReplicaRecord]


class StartSpec(TypedDict):
    """What is needed to start a replica and must not be stored, because it may hold secrets."""

    args: list[str]
    env: dict[str, str]
    unset: list[str]
    cwd: str | None


class LaunchMessage(TypedDict):
    """What the launcher sends to the supervisor.

    The environment of a replica is ``base_env`` with the changes of its ``StartSpec``.
    """

    state_dir: str
    record: AppRecord
    specs: list[StartSpec]
    base_env: dict[str, str]
    launcher_pid: int
    attached: bool
    timeout_s: float | None


class Answer(TypedDict):
    """What the supervisor answers once all replicas have been started."""

    owner: OwnerRecord
    replicas: list[ReplicaRecord]
    lease: str
