"""The part of the scheduler that asks LSF about apps, whoever submitted them."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from torchx.schedulers.api import CfgVal, DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.schedulers.batch.watch import Watcher
from torchx.schedulers.lsf import jobs, logs

log: logging.Logger = logging.getLogger(__name__)


class AskingScheduler(Scheduler[Mapping[str, CfgVal]]):
    """Describes, lists and waits for apps, and reads their logs.

    Args:
        backend: Name of the back end.
        session_name: Name under which this client submits apps.
    """

    def __init__(self, backend: str, session_name: str) -> None:
        super().__init__(backend, session_name)
        self._watcher = Watcher(jobs.describe_many)
        self._seen: dict[str, DescribeAppResponse | None] = {}

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app.

        Args:
            app_id: Its id.

        Returns:
            Its description, or ``None`` if there is no such app.

        Raises:
            BackendError: LSF does not answer.
        """
        found = self._watcher.ask(app_id) if self._watcher.is_shared() else jobs.ask(app_id)
        self._seen[app_id] = found
        return found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes any number of apps by one question.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; an app that is not known is left out.

        Raises:
            BackendError: LSF does not answer.
        """
        return jobs.describe_many(app_ids)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps of this user that LSF still knows.

        Args:
            cfg: Not used.

        Returns:
            One entry for each.

        Raises:
            BackendError: LSF does not answer.
        """
        return jobs.listed()

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since this object last described it.

        One thread asks for all apps that are waited for, less often the longer nothing changes.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        self._watcher.wait_for_change(app_id, self._seen.get(app_id), timeout_s)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        r"""Reads the log of one replica.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Not used: the files hold no times.
            until: Not used: the files hold no times.
            should_tail: Go on until the app has ended.
            streams: Which output; ``None`` means both, but only standard output of an app that
                another user or an earlier release submitted.

        Returns:
            The lines with their ``\n``.

        Raises:
            RuntimeError: There is no such replica.
            ValueError: It is not known where the log is.
        """
        if since is not None or until is not None:
            log.warning("logs of LSF jobs hold no times: since and until are ignored")
        finished = (lambda: self._watcher.is_over(app_id)) if should_tail else None
        return logs.open_log(app_id, role_name, k, streams, regex, finished)

    def close(self) -> None:
        """Ends the thread that asks about apps. Repeatable."""
        self._watcher.close()
