"""A subclass of ``LocalScheduler`` written the way NeMo-Run's is, and its logs.

It never calls the constructor of the base class, restores apps that another process has started,
and reads logs that it downloads through a subclass of ``LogIterator``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torchx.schedulers.api import (
    AppDryRunInfo,
    DescribeAppResponse,
    Stream,
    filter_regex,
    split_lines_iterator,
)
from torchx.schedulers.local_scheduler import (
    COMBINED_LOG,
    STDERR_LOG,
    STDOUT_LOG,
    AppId,
    CWDImageProvider,
    ImageProvider,
    LocalOpts,
    LocalScheduler,
    LogIterator,
    PopenRequest,
    _LocalAppDef,
)
from torchx.specs import AppDef, AppState, Resource, Role, is_terminal

DEADLINE_S = 60.0


class PersistentLocalScheduler(LocalScheduler):
    """Sets all attributes of the base class itself."""

    def __init__(
        self,
        session_name: str,
        image_provider_class: type[ImageProvider] = CWDImageProvider,
        cache_size: int = 100,
        extra_paths: list[str] | None = None,
    ) -> None:
        self.backend = "local"
        self.session_name = session_name
        self._apps: dict[AppId, _LocalAppDef] = {}
        self._image_provider_class = image_provider_class
        self._cache_size = cache_size
        self._extra_paths = extra_paths or []
        self._base_log_dir: str | None = None
        self._created_tmp_log_dir = False

    def _submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[PopenRequest]:
        # Its options are dozens, some of them nested; ours are among them.
        options = {**vars(cfg), "log_dir": cfg.job_dir, "tunnel": {"host": {"port": 1}}}
        return AppDryRunInfo(self._to_popen_request(app, options), repr)

    def submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[PopenRequest]:
        info = self._submit_dryrun(app, cfg)
        info._app = app
        return info

    def schedule(self, dryrun_info: AppDryRunInfo[PopenRequest]) -> str:
        return super().schedule(dryrun_info=dryrun_info)

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        if app_id not in self._apps:
            self._apps[app_id] = self._restored(app_id)
        return super().describe(app_id=app_id)

    def _restored(self, app_id: str) -> _LocalAppDef:
        app = _LocalAppDef(id=app_id, log_dir="/nowhere")
        app.role_replicas["role"] = []
        app.set_state(AppState.SUCCEEDED)
        return app


class Executor:
    def __init__(self, job_dir: Path) -> None:
        self.job_dir = str(job_dir)
        self.ntasks_per_node = 8
        self.env_vars = {"A": "b"}


class DownloadingIterator(LogIterator):
    """Fetches the log whenever it is asked whether the app has finished."""

    def __init__(
        self,
        app_id: str,
        log_file: str,
        scheduler: Any,
        remote: list[str],
        should_tail: bool = True,
    ) -> None:
        self._app_id = app_id
        self._log_file = log_file
        self._log_fp = None
        self._scheduler = scheduler
        self._app_finished = not should_tail
        self._remote = remote

    def _check_finished(self) -> None:
        self._log_file = f"{self._log_file.removesuffix('.part')}.part"
        with open(self._log_file, "a", encoding="utf-8") as file:
            file.write(self._remote.pop(0))
        self._app_finished = not self._remote


@pytest.fixture
def scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PersistentLocalScheduler]:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    made = PersistentLocalScheduler("session")
    yield made
    made.close()


def app(script: str) -> AppDef:
    resource = Resource(cpu=1, gpu=0, memMB=1)
    return AppDef(
        "job", [Role("role", "", entrypoint="sh", args=["-c", script], resource=resource)]
    )


def finish(scheduler: LocalScheduler, app_id: str) -> AppState:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        described = scheduler.describe(app_id)
        assert described is not None
        if is_terminal(described.state):
            return described.state
        assert time.monotonic() < deadline_s
        scheduler.wait_for_change(app_id, timeout_s=1)


def test_a_job_runs_and_its_logs_are_where_the_options_say(
    scheduler: PersistentLocalScheduler, tmp_path: Path
) -> None:
    info = scheduler.submit_dryrun(app("echo out; echo err >&2"), Executor(tmp_path / "jobs"))
    app_id = scheduler.schedule(info)
    assert finish(scheduler, app_id) == AppState.SUCCEEDED
    logs = tmp_path / "jobs" / "session" / app_id / "role" / "0"
    assert (logs / STDOUT_LOG).read_text() == "out\n"
    assert (logs / STDERR_LOG).read_text() == "err\n"
    assert sorted((logs / COMBINED_LOG).read_text().split()) == ["err", "out"]
    lines = scheduler.log_iter(app_id, "role", 0, streams=Stream.STDOUT)
    assert list(filter_regex("o", split_lines_iterator(lines))) == ["out\n"]
    own = scheduler._apps[app_id]
    assert (own.id, own.state.name, list(own.role_replicas)) == (app_id, "SUCCEEDED", ["role"])
    assert own.log_dir == str(logs.parent.parent)
    scheduler.close()
    assert (logs / STDOUT_LOG).exists(), "a directory that the user has named is kept"


def test_a_restored_app_is_described_and_killed(scheduler: PersistentLocalScheduler) -> None:
    described = scheduler.describe("started-elsewhere")
    assert described is not None
    assert described.state == AppState.SUCCEEDED
    scheduler._apps["started-elsewhere"].kill()


def test_a_running_job_is_killed_through_its_entry(
    scheduler: PersistentLocalScheduler, tmp_path: Path
) -> None:
    info = scheduler.submit_dryrun(app("exec sleep 1000"), Executor(tmp_path / "jobs"))
    app_id = scheduler.schedule(info)
    scheduler._apps[app_id].kill()
    assert is_terminal(finish(scheduler, app_id))


def test_a_log_is_downloaded_while_it_is_read(
    scheduler: PersistentLocalScheduler, tmp_path: Path
) -> None:
    remote = ["one\ntw", "o\n", "three"]
    log = DownloadingIterator("id", str(tmp_path / "log"), scheduler, remote)
    lines = filter_regex("t", split_lines_iterator(log))
    assert list(lines) == ["two\n", "three"]


def test_a_log_that_is_not_followed_is_still_downloaded_first(
    scheduler: PersistentLocalScheduler, tmp_path: Path
) -> None:
    log = DownloadingIterator("id", str(tmp_path / "log"), scheduler, ["one\n"], should_tail=False)
    assert list(split_lines_iterator(log)) == ["one\n"]


def test_options_have_their_older_name_too() -> None:
    assert LocalOpts.__name__
    assert issubclass(CWDImageProvider, ImageProvider)
