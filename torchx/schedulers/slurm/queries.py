"""The questions to squeue and sacct, with the fields that are asked for. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence

FIELD_END = "\x1f"
RECORD_END = "\x1e\n"

# Field of squeue -> widest value in characters: squeue cuts what is longer.
_SQUEUE_FIELDS = {
    "JobID": 20,
    "HetJobID": 20,
    "HetJobOffset": 10,
    "ArrayJobID": 20,
    "ArrayTaskID": 30,
    "Name": 256,
    "State": 30,
    "Reason": 100,
    "NodeList": 1000,
    "exit_code": 16,
    "RestartCnt": 10,
    "StartTime": 30,
    "UserName": 64,
    "NumCPUs": 12,
    "MinMemory": 20,
    "WorkDir": 1000,
    "Command": 1000,
    "Comment": 3000,
}
SQUEUE_COLUMNS = tuple(_SQUEUE_FIELDS)
SACCT_COLUMNS = (
    "JobID",
    "JobName",
    "State",
    "ExitCode",
    "Reason",
    "NodeList",
    "User",
    "AllocCPUS",
    "WorkDir",
    "Comment",
)


def squeue(app_ids: Sequence[str] | None = None, user: str | None = None) -> list[str]:
    """Asks for what is in the queue, and for what has ended a moment ago.

    Args:
        app_ids: Only these jobs.
        user: Only the jobs of this user.

    Returns:
        The command.
    """
    ends = [FIELD_END] * (len(_SQUEUE_FIELDS) - 1) + [RECORD_END[0]]
    fields = ",".join(
        f"{field}:{width}{end}"
        for (field, width), end in zip(_SQUEUE_FIELDS.items(), ends, strict=True)
    )
    words = ["squeue", "--noheader", "--all", "--states=all", f"--Format={fields}"]
    if app_ids is not None:
        words.append(f"--jobs={','.join(app_ids)}")
    if user is not None:
        words.append(f"--user={user}")
    return words


def squeue_json(app_id: str) -> list[str]:
    """Asks for the same in JSON, where squeue does not know all fields of :func:`squeue`.

    Args:
        app_id: Only this job, as far as the version of Slurm heeds that.

    Returns:
        The command.
    """
    return ["squeue", "--json", "-j", app_id]


def sacct(app_ids: Sequence[str] | None = None, since: str | None = None) -> list[str]:
    """Asks what accounting knows, without the steps of the jobs.

    Args:
        app_ids: Only these jobs.
        since: Only jobs that were there after this time, as Slurm writes it.

    Returns:
        The command.
    """
    words = [
        "sacct",
        "--allocations",
        "--parsable2",
        f"--delimiter={FIELD_END}",
        f"--format={','.join(SACCT_COLUMNS)}",
    ]
    if app_ids is not None:
        words.append(f"--jobs={','.join(app_ids)}")
    if since is not None:
        words.append(f"--starttime={since}")
    return words
