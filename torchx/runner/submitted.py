"""What a runner does with apps that were submitted, by itself or by anybody else."""

from __future__ import annotations

import builtins
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torchx.runner.compat import call_with_accepted
from torchx.runner.connections import SchedulerConnections
from torchx.runner.events import log_event
from torchx.schedulers.api import ListAppResponse, Scheduler, Stream
from torchx.specs import (
    AppDef,
    AppHandle,
    AppStatus,
    CfgVal,
    MalformedAppHandleException,
    UnknownAppException,
    make_app_handle,
    parse_app_handle,
)

if TYPE_CHECKING:
    from datetime import datetime

    from torchx.runner.bookkeeping import Bookkeeper

_MAX_REMEMBERED_APPS = 10_000
_JUST_SEEN_S = 1.0


class SubmittedApps(SchedulerConnections):
    """Watches, reads, lists and ends apps by their handles."""

    # One status is enough for the logs of all replicas that are opened right after it.
    _last_seen: tuple[AppHandle, float] | None = None

    def status(self, app_handle: AppHandle) -> AppStatus | None:
        """Asks for the status of an app.

        Args:
            app_handle: Handle of the app, of any session.

        Returns:
            The status; None if the scheduler does not know the app (any more).

        Raises:
            MalformedAppHandleException: The handle is none.
        """
        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("status", backend, app_id):
            desc = scheduler.describe(app_id)
            if not desc:
                self._forget(app_handle)
                return None
            self._last_seen = (app_handle, time.monotonic())
            return AppStatus(
                desc.state,
                desc.num_restarts,
                msg=desc.msg,
                structured_error_msg=desc.structured_error_msg,
                ui_url=desc.ui_url,
                roles=desc.roles_statuses,
            )

    def wait(
        self, app_handle: AppHandle, wait_interval: float = 10, *, timeout: float | None = None
    ) -> AppStatus | None:
        """Blocks until an app has ended.

        Returns at once when the scheduler reports changes by itself, else after the next poll. Two
        failures to answer in a row, if they may pass, do not end the wait.

        Args:
            app_handle: Handle of the app.
            wait_interval: Longest time between two polls, in seconds.
            timeout: Longest time to wait in all, in seconds; by default there is no limit.

        Returns:
            The final status; None if the scheduler does not know the app (any more).

        Raises:
            MalformedAppHandleException: The handle is none.
            TimeoutError: The time is over and the app has not ended. It goes on.
        """
        from torchx.runner.watch import change_waiter, wait_until_terminal

        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("wait", backend, app_id):
            status = wait_until_terminal(
                lambda: self.status(app_handle),
                change_waiter(scheduler, app_id),
                interval_s=wait_interval,
                timeout_s=timeout,
                was_known=app_handle in self._apps,
            )
            if status is not None:
                self._bookkeeper().note_end(backend, app_id, status)
            return status

    def cancel(self, app_handle: AppHandle) -> None:
        """Ends an app. Does nothing if it has ended or is unknown.

        Args:
            app_handle: Handle of the app.

        Raises:
            MalformedAppHandleException: The handle is none.
        """
        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("cancel", backend, app_id):
            status = self.status(app_handle)
            if status is not None and not status.is_terminal():
                _cancel_known(scheduler, app_id)

    def delete(self, app_handle: AppHandle) -> None:
        """Removes an app from its scheduler, ending it if it runs. Does nothing if it is unknown.

        Args:
            app_handle: Handle of the app.

        Raises:
            MalformedAppHandleException: The handle is none.
        """
        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("delete", backend, app_id):
            if self.status(app_handle) is not None:
                self._last_seen = None
                _delete_known(scheduler, app_id)
                self._bookkeeper().note_deletion(backend, app_id)

    def stop(self, app_handle: AppHandle) -> None:
        """Ends an app. Deprecated in favour of `cancel`.

        Args:
            app_handle: Handle of the app.
        """
        warnings.warn(
            "`Runner.stop` will be removed, use `Runner.cancel`",
            PendingDeprecationWarning,
            stacklevel=2,
        )
        self.cancel(app_handle)

    def describe(self, app_handle: AppHandle) -> AppDef | None:
        """Returns the app behind a handle.

        Args:
            app_handle: Handle of the app.

        Returns:
            The app as it was submitted, if that was through this runner; else as much as the
            scheduler can tell; None if the scheduler does not know it.

        Raises:
            MalformedAppHandleException: The handle is none.
        """
        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("describe", backend, app_id):
            app = self._apps.get(app_handle)
            if app is not None:
                return app
            desc = scheduler.describe(app_id)
            if not desc:
                return None
            return AppDef(name=app_id, roles=desc.roles, metadata=desc.metadata)

    def log_lines(
        self,
        app_handle: AppHandle,
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
            app_handle: Handle of the app.
            role_name: Name of the role.
            k: Index of the replica (node) within the role, not the rank of a worker.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on, where the scheduler can tell.
            until: Keep only what was written before, where the scheduler can tell.
            should_tail: Go on until the app has ended.
            streams: Which output; None means both.

        Returns:
            The lines with their ``\n``, which the last one may lack.

        Raises:
            UnknownAppException: The scheduler does not know the app (any more).
            MalformedAppHandleException: The handle is none.
        """
        scheduler, backend, app_id = self._scheduler_app_id(app_handle, check_session=False)
        with log_event("log_lines", backend, app_id):
            if not self._was_just_seen(app_handle) and not self.status(app_handle):
                raise UnknownAppException(app_handle)
            return scheduler.log_iter(
                app_id, role_name, k, regex, since, until, should_tail, streams=streams
            )

    def list(
        self, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> builtins.list[ListAppResponse]:
        """Lists the apps that a scheduler knows, of all sessions.

        Args:
            scheduler: Name of the scheduler.
            cfg: Run options that say where to look.

        Returns:
            One entry per app, with its handle.

        Raises:
            UnknownSchedulerException: There is no such scheduler.
        """
        with log_event("list", scheduler):
            listed: builtins.list[ListAppResponse] = call_with_accepted(
                self._scheduler(scheduler).list, cfg
            )
            for item in listed:
                if not _is_handle_of(item, scheduler):
                    item.app_handle = make_app_handle(scheduler, self._name, item.app_id)
            return listed

    def _bookkeeper(self) -> Bookkeeper:
        from torchx.runner.bookkeeping import Bookkeeper

        # Not set by the constructor, which not every subclass calls.
        keeper: Bookkeeper = vars(self).setdefault("_books", Bookkeeper())
        return keeper

    def _remember(self, app_handle: AppHandle, app: AppDef) -> None:
        while len(self._apps) >= _MAX_REMEMBERED_APPS:
            self._apps.pop(next(iter(self._apps)))
        self._apps[app_handle] = app

    def _forget(self, app_handle: AppHandle) -> None:
        self._apps.pop(app_handle, None)
        self._last_seen = None

    def _was_just_seen(self, app_handle: AppHandle) -> bool:
        last_seen = self._last_seen
        if last_seen is None or last_seen[0] != app_handle:
            return False
        return time.monotonic() - last_seen[1] < _JUST_SEEN_S


def _cancel_known(scheduler: Scheduler[Any], app_id: str) -> None:
    # The method of the base class would ask a second time whether the app exists.
    if getattr(type(scheduler), "cancel", None) is Scheduler.cancel:
        scheduler._cancel_existing(app_id)
    else:
        scheduler.cancel(app_id)


def _delete_known(scheduler: Scheduler[Any], app_id: str) -> None:
    if getattr(type(scheduler), "delete", None) is Scheduler.delete:
        scheduler._delete_existing(app_id)
    else:
        scheduler.delete(app_id)


def _is_handle_of(item: ListAppResponse, scheduler: str) -> bool:
    """Tells whether the scheduler itself named the handle, with the session that made the app."""
    try:
        backend, _, app_id = parse_app_handle(item.app_handle)
    except MalformedAppHandleException:
        return False
    return (backend, app_id) == (scheduler, item.app_id)
