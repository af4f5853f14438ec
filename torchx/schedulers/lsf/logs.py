"""Finds and opens the logs of replicas."""

from __future__ import annotations

import os
from collections.abc import Callable

from torchx.errors import TorchXError
from torchx.schedulers.api import Stream
from torchx.schedulers.batch.outputs import open_outputs
from torchx.schedulers.lsf import client, parse, queries, store
from torchx.schedulers.lsf.request import cleanup_str
from torchx.schedulers.streams import LogStream

_ENDINGS = {Stream.STDOUT: "out", Stream.STDERR: "err"}


class NoLogException(TorchXError, RuntimeError):
    """An app is there, but not the log that was asked for."""


def open_log(
    app_id: str,
    role_name: str,
    replica_id: int,
    stream: Stream | None,
    regex: str | None,
    finished: Callable[[], bool] | None,
) -> LogStream:
    """Opens the log of one replica.

    Args:
        app_id: Id of the app.
        role_name: Name of the role.
        replica_id: Number of the replica within the role.
        stream: Which output; ``None`` means both where that is possible.
        regex: Keep only lines in which this is found.
        finished: Tells whether the app has ended; ``None`` reads to the end of what is there.

    Returns:
        The log.

    Raises:
        NoLogException: There is no such replica, or its log cannot be seen from here.
        ValueError: LSF does not know where the log is.
    """
    kept = store.recall(app_id)
    if kept is None:
        path = _foreign_path(app_id, role_name, replica_id, stream)
        return open_outputs([path], regex, finished)
    name = _job_name(kept, role_name, replica_id)
    if not os.path.isdir(kept.logs):
        raise NoLogException(
            f"the logs of the app `{app_id}` are in {kept.logs}, which this machine does not have",
            hint="read them on a machine that shares that file system",
        )
    wanted = _ENDINGS if stream in (None, Stream.COMBINED) else [Stream(stream)]
    paths = [os.path.join(kept.logs, f"{name}.{_ENDINGS[each]}") for each in wanted]
    return open_outputs(paths, regex, finished)


def _job_name(kept: store.KeptApp, role_name: str, replica_id: int) -> str:
    for name, replica in kept.job_names().items():
        if replica == (role_name, replica_id):
            return name
    roles = [f"{role['name']} (0 to {int(role['num_replicas']) - 1})" for role in kept.roles]
    raise NoLogException(
        f"the app `{kept.app_id}` has no replica {role_name}/{replica_id};"
        f" its roles and replicas are: {', '.join(roles)}",
        hint="name one of them",
    )


def _foreign_path(app_id: str, role_name: str, replica_id: int, stream: Stream | None) -> str:
    """Asks LSF for the log of an app that torchx keeps nothing about here."""
    text = client.published(queries.directories_of(app_id))
    words = text.split()
    cleaned = cleanup_str(role_name)
    is_cleaned = f"{app_id}-{cleaned}-{replica_id}" in words
    is_cleaned = is_cleaned and f"{app_id}-{role_name}-{replica_id}" not in words
    name = cleaned if is_cleaned else role_name
    return parse.bjobs_msg_to_log_file(app_id, name, replica_id, stream, text)
