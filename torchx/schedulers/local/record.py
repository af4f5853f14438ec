"""The state of an app on disk: what is in it, and how it is written so that no reader sees half.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord

FORMAT = 1
"""Version of the record. Readers accept any record of the same version with more keys."""

RECORD_FILE = "record.json"
INDEX_FILE = "times.idx"
SUPERVISOR_LOG = "supervisor.log"

ENV_STATE_DIR = "TORCHX_LOCAL_STATE_DIR"
"""Set for all replicas, so that what an app left behind can be found without its supervisor."""

TERMINAL = frozenset(("SUCCEEDED", "FAILED", "CANCELLED"))


def write_json(path: str, value: object, *, sync: bool = False, indent: int | None = None) -> None:
    """Replaces a JSON file in one step.

    Args:
        path: The file.
        value: Plain data.
        sync: Wait until the data has reached the disk (after it became visible to readers).
        indent: Spaces per level, ``None`` for one line.

    Raises:
        OSError: It cannot be written; the former content is then still there.
    """
    import json

    temporary = f"{path}.tmp"
    data = memoryview(json.dumps(value, indent=indent).encode())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.replace(temporary, path)
        if sync:
            os.fsync(fd)
    except OSError as error:
        # A write, unlike an open, does not tell which file had no room.
        error.filename = error.filename or path
        raise
    finally:
        os.close(fd)


def write_markers(record: AppRecord) -> None:
    """Writes the ``SUCCESS`` file that tells log readers that an app has ended, however it did.

    Args:
        record: The record with its final state.

    Raises:
        OSError: It cannot be written.
    """
    roles: dict[str, list[dict[str, object]]] = {role["name"]: [] for role in record["roles"]}
    for replica in record["replicas"]:
        roles[replica["role"]].append(
            {
                "replica_id": replica["id"],
                "pid": replica["pid"],
                "exitcode": replica["exit_code"],
                "stdout": replica["stdout"] or "<CONSOLE>",
                "stderr": replica["stderr"] or "<CONSOLE>",
                "error_file": replica["error_file"],
            }
        )
    summary = {
        "app_id": record["app_id"],
        "log_dir": record["log_dir"],
        "final_state": record["state"],
        "last_updated": record["ended"],
        "roles": roles,
    }
    write_json(os.path.join(record["log_dir"], "SUCCESS"), summary, indent=2)
