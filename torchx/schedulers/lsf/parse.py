"""Reads the answers of bjobs, whatever was asked. Pure, and total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.lsf.states import (
    ENDINGS,
    STATE_TEXTS,
    combined_state,
    explain_exit,
    explain_pending,
    get_job_state,
)
from torchx.specs.api import NONE, AppState, ReplicaStatus, Role, RoleStatus

DESCRIBE_FIELDS = ("proj", "name", "stat", "exit_code")
LIST_FIELDS = ("proj", "stat", "exit_code")
LOG_FIELDS = ("proj", "name", "output_dir")
DETAIL_FIELDS = ("proj", "name", "stat", "exit_code", "exec_host", "exit_reason", "pend_reason")

DELIMITER = "^"
"""Stands between the fields of :data:`DETAIL_FIELDS`, which hold blanks."""

_ENDINGS_OF_FILES = {Stream.STDERR: "err"}


@dataclass(frozen=True)
class JobRecord:
    """What LSF tells about one job.

    Attributes:
        project: Its project, which is the id of its app.
        name: Its name.
        word: Word of LSF for its state.
        exit_code: Its exit code as LSF prints it.
        host: The host that it runs on, or ``""``.
        exit_reason: Why it has ended, or ``""``.
        pend_reason: Why it waits, or ``""``.
    """

    project: str
    name: str = ""
    word: str = ""
    exit_code: str = "-"
    host: str = ""
    exit_reason: str = ""
    pend_reason: str = ""

    @property
    def state(self) -> AppState:
        """Its state. One that was killed may have any exit code, or none."""
        state = get_job_state(self.word, self.exit_code)
        ending = ENDINGS.get(self.exit_reason.partition(":")[0].strip())
        return ending[0] if ending is not None and state == AppState.FAILED else state

    def replica(self) -> tuple[str, int] | None:
        """Returns role and number as its name has them; ``None`` for a name of another form."""
        role, _, number = self.name.removeprefix(f"{self.project}-").rpartition("-")
        is_ours = self.name.startswith(f"{self.project}-") and bool(role)
        return (role, int(number)) if is_ours and _is_number(number) else None


def read_jobs(text: str) -> list[JobRecord]:
    """Reads the answer to a question for :data:`DESCRIBE_FIELDS`.

    Args:
        text: What bjobs printed.

    Returns:
        The jobs; rows that are incomplete are left out.
    """
    return [JobRecord(*row[:4]) for row in _rows(text) if len(row) >= len(DESCRIBE_FIELDS)]


def read_details(text: str) -> list[JobRecord]:
    """Reads the answer to a question for :data:`DETAIL_FIELDS`.

    Args:
        text: What bjobs printed.

    Returns:
        The jobs; rows that are incomplete are left out.
    """
    last = len(DETAIL_FIELDS) - 1
    rows = [[value.strip() for value in line.split(DELIMITER, last)] for line in text.split("\n")]
    return [
        JobRecord(
            project=row[0],
            name=row[1],
            word=row[2],
            exit_code=row[3],
            host=_first_host(row[4]),
            exit_reason=_told(row[5]),
            pend_reason=_told(row[6]),
        )
        for row in rows
        if len(row) == len(DETAIL_FIELDS)
    ]


def group_by_project(records: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    """Sorts jobs.

    Args:
        records: Jobs of any apps.

    Returns:
        Project -> its jobs, in the order of their first appearance.
    """
    groups: dict[str, list[JobRecord]] = {}
    for record in records:
        groups.setdefault(record.project, []).append(record)
    return groups


def describe(
    app_id: str,
    records: Sequence[JobRecord],
    names: Mapping[str, tuple[str, int]] | None = None,
) -> DescribeAppResponse:
    """Answers what LSF tells about an app.

    Args:
        app_id: Its id.
        records: Its jobs.
        names: Name of a job -> role and number of the replica, where that is known.

    Returns:
        The answer. Jobs whose names are of another form count for the state only.
    """
    roles: dict[str, Role] = {}
    statuses: dict[str, RoleStatus] = {}
    for record in records:
        replica = (names or {}).get(record.name) or record.replica()
        if replica is None:
            continue
        name, number = replica
        roles.setdefault(name, Role(name=name, num_replicas=0, image="")).num_replicas += 1
        statuses.setdefault(name, RoleStatus(name, [])).replicas.append(
            ReplicaStatus(id=number, state=record.state, role=name, hostname=record.host)
        )
    for status in statuses.values():
        status.replicas.sort(key=lambda found: found.id)
    state = combined_state(record.state for record in records)
    return DescribeAppResponse(
        app_id=app_id,
        state=state,
        msg=message(records, state) or NONE,
        roles=list(roles.values()),
        roles_statuses=list(statuses.values()),
    )


def message(records: Sequence[JobRecord], state: AppState) -> str:
    """Says for a person why an app waits or how it has ended.

    Args:
        records: Its jobs.
        state: Its state.

    Returns:
        A sentence without its end, or ``""``.
    """
    ours = [record for record in records if record.state == state]
    if not ours or state in (AppState.RUNNING, AppState.SUCCEEDED):
        return ""
    # The job that says most is one with a reason.
    record = max(ours, key=lambda found: bool(found.exit_reason or found.pend_reason))
    who = f"{record.name}: " if record.name else ""
    if state in (AppState.FAILED, AppState.CANCELLED):
        return f"{state.name}: {who}{explain_exit(record.exit_code, record.exit_reason)}"
    known = STATE_TEXTS.get(record.word, "" if record.word == "PEND" else record.word)
    reason = known or explain_pending(record.pend_reason)
    if not reason:
        return ""
    return f"waiting: {who}{reason}" if state == AppState.PENDING else f"{who}{reason}"


def bjobs_msg_to_describe(app_id: str, msg: str) -> DescribeAppResponse | None:
    """Reads what ``bjobs -o "proj name stat exit_code"`` printed about one app.

    Args:
        app_id: Its id.
        msg: What bjobs printed.

    Returns:
        The description; ``None`` if it printed nothing.
    """
    if not msg.strip():
        return None
    response = describe(app_id, read_jobs(msg))
    response.msg = msg
    return response


def bjobs_msg_to_list(msg: str) -> list[ListAppResponse]:
    """Reads what ``bjobs -o "proj stat exit_code"`` printed.

    Args:
        msg: What bjobs printed.

    Returns:
        One entry for each project, in the order of their first appearance.
    """
    rows = [row for row in _rows(msg) if len(row) >= len(LIST_FIELDS)]
    records = [JobRecord(row[0], word=row[1], exit_code=row[2]) for row in rows]
    return [
        ListAppResponse(app_id=project, state=combined_state(job.state for job in jobs))
        for project, jobs in group_by_project(records).items()
    ]


def bjobs_msg_to_log_file(
    app_id: str,
    role_name: str,
    k: int = 0,
    streams: Stream | None = None,
    msg: str = "",
) -> str:
    """Finds a log by what ``bjobs -o "proj name output_dir"`` printed.

    Args:
        app_id: Id of the app.
        role_name: Name of the role as it is in those of jobs.
        k: Number of the replica within the role.
        streams: Which output; ``None`` means standard output.
        msg: What bjobs printed.

    Returns:
        Path of the file.

    Raises:
        ValueError: Both outputs are asked for, or no job with a directory for outputs is told of.
    """
    if streams == Stream.COMBINED:
        raise ValueError(
            f"the app `{app_id}` has no combined log; ask for its standard output or standard error"
        )
    ending = _ENDINGS_OF_FILES.get(streams, "out") if streams is not None else "out"
    wanted = f"{app_id}-{role_name}-{k}"
    found = None
    for line in msg.split("\n"):
        project, name, directory = [*line.split(maxsplit=2), "", "", ""][:3]
        if project == app_id and name == wanted and directory.strip() not in ("", "-"):
            found = f"{directory.strip()}/{name}.{ending}"
    if found is None:
        raise ValueError(
            f"no directory with logs is known for replica {role_name}/{k} of the app `{app_id}`;"
            " was it submitted with the run option jobdir, and does the role have such a replica?"
        )
    return found


def _rows(text: str) -> list[list[str]]:
    # One blank or many: widths differ between versions.
    return [line.split() for line in text.split("\n")]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _told(text: str) -> str:
    return "" if text == "-" else text


def _first_host(text: str) -> str:
    # As in `4*node3:node2`: slots and host, for each host.
    return _told(text.split(":")[0].rpartition("*")[2].strip())
