"""How a status looks in text. The error file of a replica may be in any form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchx.specs.app import NONE
from torchx.specs.status import AppState, MeasuredReplicaStatus

if TYPE_CHECKING:
    from torchx.specs.status import AppStatus, ReplicaStatus

_RPC_WRAPPER = "('On WorkerInfo("
_NOT_AVAILABLE = "<N/A>"
_MAX_ERROR_CHARS = 65_536


@dataclass
class _ReplicaError:
    """What an error file says.

    Args:
        message: The message.
        exit_code: Exit code of the process.
        timestamp: When it failed, in seconds since the epoch.
    """

    message: str
    exit_code: object
    timestamp: object


def format_replica(replica: ReplicaStatus) -> str:
    """Formats the entry of one replica.

    Args:
        replica: Status of the replica.

    Returns:
        A newline, the replica with its state and, on further lines, its error.
    """
    marker = "*" if replica.id == 0 else " "
    head = f"\n {marker}{replica.role}[{replica.id}]:{replica.state}"
    if replica.structured_error_msg == NONE:
        return head + _remark(replica)
    error = _parse_error(replica.structured_error_msg)
    if error is None:
        text = _bounded(replica.structured_error_msg)
        return f"{head}\n        hostname: {replica.hostname}\n        error_msg: {text}"
    message = format_error_message(_bounded(error.message), "    error_msg: ")
    details = [
        f"{head} (exitcode: {error.exit_code or _NOT_AVAILABLE})",
        f"    timestamp: {_local_time(error.timestamp)}",
        f"    hostname: {replica.hostname}",
        *message.split("\n"),
    ]
    return "\n    ".join(details)


def format_error_message(msg: str, header: str, width: int = 80) -> str:
    """Cuts an error message down to what matters and wraps it.

    Of an exception that came through RPC only the remote part is kept; of a message nested in a
    message, only the line before the inner ``Exception``.

    Args:
        msg: The message.
        header: What the first line starts with; the others are indented as far.
        width: Characters after which a line ends at the next blank.

    Returns:
        One or more lines.
    """
    assert len(header) < width, f"the header must be shorter than {width} characters"
    lines = _wrap(_without_nested_exception(_rpc_error(msg)), width).split("\n")
    return header + ("\n" + " " * len(header)).join(lines)


def to_yaml(status: AppStatus) -> str:
    """Formats a status as YAML that any YAML reader can load.

    Args:
        status: The status.

    Returns:
        A block with the single key ``AppStatus``.
    """
    import yaml

    fields = dict(vars(status))
    fields["state"] = repr(status.state)
    fields["roles"] = [_plain(role.to_json()) for role in status.roles]
    if status.structured_error_msg != NONE:
        fields["structured_error_msg"] = _decoded(status.structured_error_msg)
    return yaml.safe_dump({"AppStatus": fields}, allow_unicode=True)


def _plain(role: dict[str, Any]) -> dict[str, Any]:
    replicas = [{**replica, "state": repr(replica["state"])} for replica in role["replicas"]]
    return {**role, "replicas": replicas}


def _decoded(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _remark(replica: ReplicaStatus) -> str:
    if replica.state in (AppState.FAILED, AppState.CANCELLED):
        return " (no reply file)"
    usage = replica.usage if isinstance(replica, MeasuredReplicaStatus) else None
    if replica.state is not AppState.RUNNING or usage is None:
        return ""
    return f" (rss {_size(usage.rss_bytes)}, cpu {usage.cpu_time_s:.1f} s)"


def _size(num_bytes: int) -> str:
    size, units = float(num_bytes), iter(["B", "KiB", "MiB", "GiB"])
    unit = next(units)
    while size >= 1024 and (larger := next(units, None)):
        size, unit = size / 1024, larger
    return f"{num_bytes} B" if unit == "B" else f"{size:.1f} {unit}"


def _parse_error(text: str) -> _ReplicaError | None:
    """Reads an error file in either of the two known forms."""
    content = _decoded(text)
    if not isinstance(content, Mapping):
        return None
    message = content.get("message")
    if isinstance(message, str):
        return _ReplicaError(message, content.get("errorCode"), content.get("timestamp"))
    if not isinstance(message, Mapping) or not isinstance(message.get("message"), str):
        return None
    extra = message.get("extraInfo")
    timestamp = extra.get("timestamp") if isinstance(extra, Mapping) else None
    return _ReplicaError(message["message"], message.get("errorCode"), timestamp)


def _local_time(timestamp: object) -> str:
    import datetime

    if not isinstance(timestamp, (int, float, str)):
        return _NOT_AVAILABLE
    try:
        return str(datetime.datetime.fromtimestamp(int(timestamp)))
    except (ValueError, OverflowError, OSError):
        return _NOT_AVAILABLE


def _bounded(text: str) -> str:
    left_out = len(text) - _MAX_ERROR_CHARS
    if left_out <= 0:
        return text
    half = _MAX_ERROR_CHARS // 2
    return f"{text[:half]} ... ({left_out} characters left out) ... {text[-half:]}"


def _rpc_error(msg: str) -> str:
    """Returns the part of a message that a remote worker wrapped, or all of the message.

    The part is ``Error('On WorkerInfo(...):``, lines, and ``')`` at the start of a line. Written
    without a regular expression: a word of unbounded length before a literal makes one quadratic.
    """
    end = msg.rfind("\n')")
    line_end = -1
    position = msg.find(_RPC_WRAPPER)
    while position >= 0:
        if line_end < position:
            line_end = msg.find("\n", position)
        if line_end < 0 or line_end > end:
            return msg
        start = _word_start(msg, position)
        first_line_ends_well = msg.endswith("):", position + len(_RPC_WRAPPER) + 1, line_end)
        if start < position and first_line_ends_well:
            return msg[start : end + len("\n')")]
        position = msg.find(_RPC_WRAPPER, position + 1)
    return msg


def _word_start(text: str, end: int) -> int:
    start = end
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return start


def _without_nested_exception(msg: str) -> str:
    end = msg.find("\nException")
    return msg if end < 0 else msg[msg.rfind("\n", 0, end) + 1 : end]


def _wrap(text: str, width: int) -> str:
    """Breaks at each blank that is at least ``width`` characters after the last break.

    Newlines of the text itself do not count as breaks.
    """
    pieces = []
    start = 0
    blank = text.find(" ", width)
    while blank >= 0:
        pieces.append(text[start:blank])
        start = blank
        blank = text.find(" ", start + width)
    return "\n".join([*pieces, text[start:]])
