"""What a runner knows of all jobs that were ever submitted, by whichever process."""

from __future__ import annotations

import builtins
import itertools
import logging
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from torchx.errors import TorchXError
from torchx.runner.submitted import SubmittedApps
from torchx.specs import AppHandle, AppState, MalformedAppHandleException, parse_app_handle

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from torchx.runner.store import JobStore, RememberedJob

logger: logging.Logger = logging.getLogger(__name__)

_REFRESH_TIMEOUT_S = 10.0
_SHOWN_CANDIDATES = 5


class ShortHandleError(MalformedAppHandleException):
    """A shortened handle fits no remembered job, or several.

    Args:
        text: What was given.
        reason: What is wrong with it.
        hint: What to do about it.
    """

    def __init__(self, text: str, reason: str = "", hint: str = "") -> None:
        super().__init__(text)
        self._reason, self.hint = reason, hint
        self.args = (reason,)

    def __reduce__(self) -> tuple[type[ShortHandleError], tuple[str, ...]]:
        return type(self), (self._app_handle, self._reason, self.hint)


class RememberedJobs(SubmittedApps):
    """Lists, finds and forgets remembered jobs."""

    def jobs(
        self,
        *,
        states: Collection[AppState] | None = None,
        since: datetime | None = None,
        name: str | None = None,
        limit: int | None = None,
        refresh: bool = True,
        timeout: float = _REFRESH_TIMEOUT_S,
    ) -> builtins.list[RememberedJob]:
        """Lists the jobs of all schedulers that were submitted from here, the newest first.

        Args:
            states: Keep only jobs that are in one of these states now.
            since: Keep only jobs submitted from then on.
            name: Keep only jobs whose name matches this pattern of the shell; without one of
                ``*?[`` a part of the name will do.
            limit: Most jobs to return.
            refresh: Ask the schedulers for the states of jobs that may have changed; otherwise the
                last known states are returned.
            timeout: Longest time in seconds to wait for the schedulers.

        Returns:
            The jobs. A failed submission that turns out not to have left a job is forgotten.

        Raises:
            StoreError: What is remembered cannot be read.
        """
        from torchx.runner.store import JobStore

        store = JobStore()
        try:
            candidates = store.newest(
                name=name,
                since_s=None if since is None else since.timestamp(),
                states=states,
                wanted=limit,
            )
            return self._current(store, candidates, states, limit, timeout if refresh else None)
        finally:
            store.close()

    def job(
        self,
        app_handle: AppHandle,
        *,
        refresh: bool = False,
        timeout: float = _REFRESH_TIMEOUT_S,
    ) -> RememberedJob | None:
        """Returns what is remembered of one job.

        Args:
            app_handle: Handle of the app.
            refresh: Ask its scheduler for its state, if that may have changed.
            timeout: Longest time in seconds to wait for the scheduler.

        Returns:
            The job; None if it is not remembered.

        Raises:
            MalformedAppHandleException: The handle is none.
            StoreError: What is remembered cannot be read.
        """
        from torchx.runner.store import JobStore

        backend, _, app_id = parse_app_handle(app_handle)
        store = JobStore()
        try:
            job = store.of_handle(backend, app_id)
            if job is None or not refresh:
                return job
            return next(iter(self._refreshed(store, [job], timeout)), None)
        finally:
            store.close()

    def find_handle(self, text: str) -> AppHandle:
        """Completes a shortened handle.

        Args:
            text: A handle, which is returned as it is, or the beginning of the id of one
                remembered app.

        Returns:
            The handle.

        Raises:
            MalformedAppHandleException: The text fits no remembered job, or several.
        """
        return find_handle(text)

    def prune(self, older_than: timedelta, *, dryrun: bool = False) -> builtins.list[RememberedJob]:
        """Forgets jobs that ended long ago, with what is left of them on this machine.

        A job that still runs is never touched. Jobs of schedulers on this machine (``local_*``)
        are deleted there, logs included; what other schedulers keep is left to them.

        Args:
            older_than: Age of the submission from which on a job is forgotten.
            dryrun: Only tell which jobs that would be.

        Returns:
            The jobs.

        Raises:
            StoreError: What is remembered cannot be read or written.
        """
        from torchx.runner.store import JobStore

        store = JobStore()
        try:
            until_s = time.time() - older_than.total_seconds()
            old = self._current(
                store, store.newest(until_s=until_s), None, None, _REFRESH_TIMEOUT_S
            )
            ended = [job for job in old if job.is_over or _is_past_settling(job)]
            if dryrun:
                return ended
            pruned = [job for job in ended if self._remove_remains(job)]
            store.forget([job.submission_id for job in pruned])
            return pruned
        finally:
            store.close()

    def _remove_remains(self, job: RememberedJob) -> bool:
        if not job.scheduler.startswith("local") or job.handle is None:
            return True
        try:
            self.delete(job.handle)
        except Exception as error:
            logger.warning("`%s` is kept, it cannot be deleted: %s", job.handle, error)
            return False
        return True

    def _current(
        self,
        store: JobStore,
        candidates: Iterable[RememberedJob],
        states: Collection[AppState] | None,
        limit: int | None,
        timeout_s: float | None,
    ) -> builtins.list[RememberedJob]:
        """Takes as many candidates as it needs to find ``limit`` jobs in one of the states."""
        found: builtins.list[RememberedJob] = []
        remaining = iter(candidates)
        while limit is None or len(found) < limit:
            missing = None if limit is None else limit - len(found)
            batch = builtins.list(itertools.islice(remaining, missing))
            if not batch:
                break
            if timeout_s is not None:
                batch = self._refreshed(store, batch, timeout_s)
            found.extend(job for job in batch if states is None or job.state in states)
        return found

    def _refreshed(
        self, store: JobStore, jobs: builtins.list[RememberedJob], timeout_s: float
    ) -> builtins.list[RememberedJob]:
        if all(job.is_over for job in jobs):
            return jobs
        from torchx.runner.refresh import changes_of, refresh
        from torchx.runner.store.database import StoreError

        answers = refresh(jobs, self._scheduler, timeout_s)
        void = [answer.job.submission_id for answer in answers.values() if answer.is_void]
        changes = [
            (job.submission_id, changed)
            for job in jobs
            if job.submission_id in answers
            and (changed := changes_of(job, answers[job.submission_id].job))
        ]
        try:
            if changes:
                store.change_all(changes)
            if void:
                store.forget(void)
        except StoreError as error:
            logger.warning("the states of jobs were not remembered: %s", error)
        return [
            answers[job.submission_id].job if job.submission_id in answers else job
            for job in jobs
            if job.submission_id not in void
        ]


def _is_past_settling(job: RememberedJob) -> bool:
    """Tells whether nobody will ever know what became of an unconfirmed job.

    One that is just being submitted, or whose scheduler does not answer now, may still run.
    """
    return not job.is_confirmed and job.state is AppState.UNKNOWN


def find_handle(text: str) -> AppHandle:
    """Completes a shortened handle, see `RememberedJobs.find_handle`.

    Args:
        text: A handle, or the beginning of the id of one remembered app.

    Returns:
        The handle.

    Raises:
        MalformedAppHandleException: The text fits no remembered job, or several.
    """
    if "://" in text:
        parse_app_handle(text)
        return text
    from torchx.runner.store import JobStore

    store = JobStore()
    try:
        found = store.with_id_prefix(text) if text else []
    except TorchXError as error:
        raise ShortHandleError(
            text, f"`{text}` cannot be looked up: {error}", "give the whole handle"
        ) from error
    finally:
        store.close()
    handles = list(dict.fromkeys(job.handle for job in found if job.handle))
    if len(handles) == 1:
        return handles[0]
    if not handles:
        raise ShortHandleError(
            text,
            f"`{text}` is neither a handle (SCHEDULER://SESSION/APP_ID) nor the beginning of the id"
            " of a remembered job",
            "`torchx list` shows the jobs that are remembered",
        )
    shown = ", ".join(handles[:_SHOWN_CANDIDATES])
    more = len(handles) - _SHOWN_CANDIDATES
    raise ShortHandleError(
        text,
        f"`{text}` is the beginning of {len(handles)} ids: {shown}"
        + (f" and {more} more" if more > 0 else ""),
        "give more of the id",
    )
