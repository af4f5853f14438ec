"""The part of the local scheduler that works for any app of this user, whoever started it."""

from __future__ import annotations

import builtins
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torchx.schedulers import error_files
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.local import layout, parse, store
from torchx.schedulers.local.apps import NA, LocalAppDef
from torchx.schedulers.local.record import RECORD_FILE
from torchx.specs.api import AppState, is_terminal, make_app_handle

if TYPE_CHECKING:
    from datetime import datetime

    from torchx.schedulers.local.messages import AppRecord
    from torchx.schedulers.streams import LogStream

_LIVENESS_CHECK_S = 1.0
_CHILD_POLL_S = 0.02
# An error file may be a little older than its app by the coarser clock of the file system.
_CLOCK_SLACK_S = 2.0


class _Located(NamedTuple):
    directory: str
    record: AppRecord
    owner: store.Owner
    signature: store.Signature


class Queries:
    """Questions and orders about apps, answered from their records on disk.

    Attributes are class-level defaults for subclasses that do not call the constructor.
    """

    session_name: str
    _apps: dict[str, LocalAppDef]
    _base_log_dir: str | None = None
    _created_tmp_log_dir: bool = False
    _tmp_log_dirs: builtins.list[str] = []

    @property
    def _lock(self) -> threading.RLock:
        lock: threading.RLock = vars(self).setdefault("_own_lock", threading.RLock())
        return lock

    def exists(self, app_id: str) -> bool:
        """Tells whether there is such an app.

        Args:
            app_id: Its id.

        Returns:
            True if there is.
        """
        if app_id in self._forgotten():
            return False
        return app_id in self._apps or layout.find_state_dir(app_id) is not None

    def describe_many(self, app_ids: Sequence[str]) -> dict[str, DescribeAppResponse]:
        """Tells what is known about many apps, without the error files and usage of replicas.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; apps that do not exist are left out.
        """
        return {
            app_id: description
            for app_id in app_ids
            if (description := self._describe_briefly(app_id)) is not None
        }

    def _describe(self, app_id: str) -> DescribeAppResponse | None:
        if app_id in self._forgotten():
            return None
        located = self._locate(app_id)
        if located is None:
            return self._describe_child(app_id)
        record, owner = located.record, located.owner
        self._seen()[app_id] = located.signature
        self._note_state(app_id, record)
        paths = [replica["error_file"] for replica in record["replicas"]]
        oldest_s = record["created"] - _CLOCK_SLACK_S
        usages = None
        if owner is store.Owner.ALIVE and not store.is_terminal(record):
            from torchx.schedulers.local import usage

            usages = usage.measure(record)
        return parse.describe(
            record,
            owner,
            structured_error_msg=error_files.first_error(paths, oldest_s),
            replica_errors={
                position: error_files.first_error([path], oldest_s)
                for position, path in enumerate(paths)
                if path != NA
            },
            usages=usages,
        )

    def _describe_briefly(self, app_id: str) -> DescribeAppResponse | None:
        """Leaves out what takes a look at each replica: error files and use of memory."""
        located = None if app_id in self._forgotten() else self._locate(app_id)
        if located is None:
            return self._describe(app_id)
        self._seen()[app_id] = located.signature
        self._note_state(app_id, located.record)
        return parse.describe(located.record, located.owner)

    def _list(self) -> builtins.list[ListAppResponse]:
        apps = sorted(store.all_apps(), key=lambda app: app[0]["created"], reverse=True)
        return [parse.list_entry(record, owner) for record, owner in apps]

    def _cancel(self, app_id: str) -> None:
        from torchx.schedulers.local import control, inprocess

        located = self._locate(app_id)
        app = self._apps.get(app_id)
        if located is not None:
            control.cancel(located.directory, located.record)
            found = store.read(located.directory)
            if found is not None:
                self._note_state(app_id, found[0])
        elif app is not None:
            with self._lock:
                if not is_terminal(inprocess.describe(app).state):
                    app.kill()
                    app.set_state(AppState.CANCELLED)
                    app.close()

    def _delete(self, app_id: str) -> None:
        from torchx.schedulers.local import control

        self._cancel(app_id)
        located = self._locate(app_id)
        with self._lock:
            app = self._apps.pop(app_id, None)
        if app is not None and app.supervised is not None:
            app.supervised.collect()
        if located is not None:
            control.delete(located.directory, located.record)

    def _open_log(
        self,
        app_id: str,
        role_name: str,
        replica_id: int,
        regex: str | None,
        since: datetime | None,
        until: datetime | None,
        stream: Stream,
        *,
        follow: bool,
    ) -> LogStream:
        from torchx.schedulers.local import logs

        located = self._locate(app_id)
        if located is not None:
            return logs.open_stream(
                located.directory,
                located.record,
                role_name,
                replica_id,
                stream,
                regex=regex,
                since=since,
                until=until,
                follow=follow,
            )
        app = self._apps.get(app_id)
        if app is None:
            handle = make_app_handle("local_cwd", self.session_name, app_id)
            raise logs.UnknownLocalAppException(handle)
        path = os.path.join(
            app.log_dir,
            layout.path_component(role_name),
            str(replica_id),
            f"{stream.value}.log",
        )
        if not os.path.exists(path):
            raise logs.NoLogException(
                f"the replica {role_name}/{replica_id} of `{app_id}` has no log {path}",
                hint="is that a role and a replica of the app, and does it log into a file?",
            )
        finished = (lambda: self._has_ended(app)) if follow else (lambda: True)
        return logs.open_file(path, finished, regex)

    def _wait_for_change(self, app_id: str, timeout_s: float) -> None:
        from torchx.util.filewatch import FileWatch

        deadline_s = time.monotonic() + timeout_s
        located = self._locate(app_id)
        if located is None:
            self._wait_for_child(app_id, deadline_s)
            return
        path = os.path.join(located.directory, RECORD_FILE)
        watch = FileWatch([path])
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                found = store.examine(located.directory)
                if found is None or store.is_terminal(found[0]):
                    return
                if found[1].holds_nothing or found[2] != self._seen().get(app_id):
                    return
                # A supervisor that was killed changes nothing: look after it now and then.
                watch.wait(min(left_s, _LIVENESS_CHECK_S))
        finally:
            # The kernel takes up to 20 ms for it, which whoever waits for the end need not wait.
            threading.Thread(target=watch.close, name="close-watch", daemon=True).start()

    def _wait_for_child(self, app_id: str, deadline_s: float) -> None:
        app = self._apps.get(app_id)
        if app is None:
            return
        before = app.state
        while not self._has_ended(app) and app.state == before:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                return
            time.sleep(min(left_s, _CHILD_POLL_S))

    def _refresh_states(self) -> None:
        for app in list(self._apps.values()):
            if is_terminal(app.state):
                continue
            located = self._locate(app.id)
            if located is not None:
                self._note_state(app.id, located.record)
            else:
                self._has_ended(app)

    def _evict_lru(self) -> bool:
        ended = [app for app in self._apps.values() if is_terminal(app.state)]
        if not ended:
            return False
        oldest = min(ended, key=lambda app: app.last_updated)
        self._forget(oldest.id)
        return True

    def _forget(self, app_id: str) -> None:
        app = self._apps.pop(app_id)
        if app.supervised is not None:
            app.supervised.collect()
        self._forgotten().add(app_id)

    def _locate(self, app_id: str) -> _Located | None:
        app = self._apps.get(app_id)
        directory = app.supervised.directory if app and app.supervised else None
        directory = directory or layout.find_state_dir(app_id)
        found = store.examine(directory) if directory else None
        if directory is None or found is None:
            return None
        record, owner, signature = found
        if app is not None and app.supervised is not None:
            record = app.supervised.current(record)
        return _Located(directory, record, owner, signature)

    def _note_state(self, app_id: str, record: AppRecord) -> None:
        app = self._apps.get(app_id)
        if app is None or is_terminal(app.state):
            return
        state = AppState.__members__.get(record["state"], AppState.UNKNOWN)
        if state == app.state:
            return
        app.set_state(state)
        if is_terminal(state):
            app.last_updated = record["ended"] or app.last_updated
            if app.supervised is not None:
                app.supervised.collect(wait=False)

    def _describe_child(self, app_id: str) -> DescribeAppResponse | None:
        app = self._apps.get(app_id)
        if app is None or app.supervised is not None:
            return None
        from torchx.schedulers.local import inprocess

        with self._lock:
            return inprocess.describe(app)

    def _has_ended(self, app: LocalAppDef) -> bool:
        from torchx.schedulers.local import inprocess

        with self._lock:
            return app.supervised is not None or is_terminal(inprocess.describe(app).state)

    def _seen(self) -> dict[str, store.Signature]:
        seen: dict[str, store.Signature] = vars(self).setdefault("_seen_records", {})
        return seen

    def _forgotten(self) -> set[str]:
        forgotten: set[str] = vars(self).setdefault("_forgotten_apps", set())
        return forgotten
