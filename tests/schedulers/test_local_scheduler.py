"""The published interface of the local scheduler, with what packages built on it rely on."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torchx.schedulers import get_scheduler_factories, local_scheduler
from torchx.schedulers.api import DescribeAppResponse, Stream
from torchx.schedulers.local.processes import read_stat
from torchx.schedulers.local_scheduler import (
    NA,
    CWDImageProvider,
    LocalDirectoryImageProvider,
    LocalScheduler,
    LogIterator,
    Opts,
    PopenProtocol,
    PopenRequest,
    ReplicaParam,
    SignalException,
    _join_PATH,
    _LocalAppDef,
    _LocalReplica,
    create_scheduler,
)
from torchx.specs.api import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    Resource,
    Role,
    UnknownAppException,
    is_terminal,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "home"


@pytest.fixture
def scheduler(home: Path) -> Iterator[LocalScheduler]:
    scheduler = create_scheduler("session")
    yield scheduler
    scheduler.close()


def shell(script: str, name: str = "role", **env: str) -> AppDef:
    return AppDef("app", [Role(name, "", entrypoint="/bin/sh", args=["-c", script], env=env)])


def finish(scheduler: LocalScheduler, app_id: str) -> DescribeAppResponse:
    while (description := scheduler.describe(app_id)) and not is_terminal(description.state):
        scheduler.wait_for_change(app_id, 5)
    assert description is not None
    return description


class TestInterface:
    def test_every_published_name_is_there(self) -> None:
        assert all(hasattr(local_scheduler, name) for name in local_scheduler.__all__)
        assert local_scheduler.AppId is local_scheduler.AppName is str
        assert local_scheduler.LocalOpts == Mapping[str, CfgVal]
        for name in ("_terminate_process_handler", "_register_termination_signals"):
            assert callable(getattr(local_scheduler, name))

    def test_the_registry_knows_it(self) -> None:
        scheduler = get_scheduler_factories()["local_cwd"]("test_session", unknown=1)
        assert isinstance(scheduler, LocalScheduler)
        assert scheduler.session_name == "test_session"
        assert scheduler.backend == "local"
        scheduler.close()

    def test_the_factory_sets_what_it_is_given(self) -> None:
        scheduler = create_scheduler(
            "s", cache_size=7, extra_paths=["/a"], image_provider_class=LocalDirectoryImageProvider
        )
        assert scheduler._cache_size == 7
        assert scheduler._extra_paths == ["/a"]
        assert scheduler._image_provider_class is LocalDirectoryImageProvider
        scheduler.close()

    @pytest.mark.parametrize("size", [0, -1])
    def test_the_cache_holds_at_least_one_app(self, size: int) -> None:
        with pytest.raises(ValueError, match="cache_size"):
            create_scheduler("s", cache_size=size)

    def test_options_are_declared_with_help(self, scheduler: LocalScheduler) -> None:
        options = dict(scheduler.run_opts())
        assert list(options) == [
            "log_dir",
            "prepend_cwd",
            "auto_set_cuda_visible_devices",
            "timeout_s",
            "grace_period_s",
            "detach",
        ]
        assert all(option.help != name for name, option in options.items())

    @pytest.mark.parametrize("cfg", [{"timeout_s": 0}, {"grace_period_s": -1}])
    def test_senseless_options_are_refused(
        self, scheduler: LocalScheduler, cfg: dict[str, CfgVal]
    ) -> None:
        with pytest.raises(ValueError, match=next(iter(cfg))):
            scheduler.submit_dryrun(shell("true"), cfg)

    def test_roles_need_no_resource(self, scheduler: LocalScheduler) -> None:
        scheduler._validate(shell("true"), "local_cwd")
        scheduler._validate(shell("true"), "local_cwd", {})

    def test_paths_are_joined(self) -> None:
        assert _join_PATH("/usr/local/bin", ":/usr/bin:/bin:") == "/usr/local/bin:/usr/bin:/bin"
        assert _join_PATH(None, "", ":") == ""

    def test_images_are_directories(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        provider = LocalDirectoryImageProvider({})
        assert provider.fetch(str(tmp_path)) == provider.get_cwd(str(tmp_path)) == str(tmp_path)
        for image in ("relative/name", str(tmp_path / "missing")):
            with pytest.raises(ValueError, match=image):
                provider.fetch(image)
        monkeypatch.chdir(tmp_path)
        role = Role("r", "whatever", entrypoint="a", args=["b", "c"])
        assert CWDImageProvider({}).fetch_role(role) == str(tmp_path)
        assert CWDImageProvider({}).get_replica_param("/x", role).args == ["a", "b", "c"]

    def test_a_deleted_working_directory_is_named_as_the_reason(
        self, scheduler: LocalScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        with pytest.raises(FileNotFoundError, match="has been deleted"):
            scheduler.submit_dryrun(shell("true"), {})


class TestDryRun:
    def test_it_touches_neither_disk_nor_app(
        self, scheduler: LocalScheduler, tmp_path: Path, home: Path
    ) -> None:
        app = shell("true", A="b")
        for cfg in ({}, {"log_dir": str(tmp_path / "logs")}):
            first, second = (scheduler.submit_dryrun(app, cfg).request for _ in range(2))
            assert (
                first.role_params["role"][0].env["PATH"]
                == (second.role_params["role"][0].env["PATH"])
            )
        assert app == shell("true", A="b")
        assert not home.exists()
        assert not (tmp_path / "logs").exists()
        assert scheduler._base_log_dir == str(tmp_path / "logs")
        assert scheduler._tmp_log_dirs == []

    def test_the_environment_of_a_replica(
        self, scheduler: LocalScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(local_scheduler, "make_unique", lambda name: f"{name}-id")
        app = shell("true", X="${app_id}/${replica_id}/${rank0_env}")
        request = scheduler._to_popen_request(app, {"log_dir": str(tmp_path), "other": {"a": "b"}})
        log_dir = f"{tmp_path}/session/app-id"
        assert request == PopenRequest(
            app_id="app-id",
            log_dir=log_dir,
            role_params={
                "role": [
                    ReplicaParam(
                        args=["/bin/sh", "-c", "true"],
                        env={
                            "PATH": str(tmp_path),
                            "TORCHX_RANK0_HOST": "localhost",
                            "TORCHELASTIC_ERROR_FILE": f"{log_dir}/role/0/error.json",
                            "PET_LOG_DIR": f"{log_dir}/torchelastic/role",
                            "X": "app-id/0/TORCHX_RANK0_HOST",
                        },
                        stdout=f"{log_dir}/role/0/stdout.log",
                        stderr=f"{log_dir}/role/0/stderr.log",
                        combined=f"{log_dir}/role/0/combined.log",
                        cwd=str(tmp_path),
                    )
                ]
            },
            role_log_dirs={"role": [f"{log_dir}/role/0"]},
        )

    @pytest.mark.parametrize(
        ("own", "prepend", "expected"),
        [
            ({}, False, "/x:D"),
            ({}, True, "D:/x"),
            ({"PATH": "/home/bob"}, False, "/x:/home/bob:D"),
            ({"PATH": "/home/bob"}, True, "D:/x:/home/bob"),
        ],
    )
    def test_where_programs_are_looked_for(
        self, tmp_path: Path, own: dict[str, str], prepend: bool, expected: str
    ) -> None:
        scheduler = LocalScheduler("s", LocalDirectoryImageProvider, extra_paths=["/x"])
        app = AppDef("app", [Role("r", str(tmp_path), entrypoint="x", env=own)])
        param = scheduler._to_popen_request(app, Opts(prepend_cwd=prepend)).role_params["r"][0]
        assert param.env["PATH"] == expected.replace("D", str(tmp_path))
        scheduler.close()

    def test_macros_in_the_search_path_are_replaced(self, tmp_path: Path) -> None:
        scheduler = LocalScheduler(
            "s", LocalDirectoryImageProvider, extra_paths=["${img_root}/bin"]
        )
        app = AppDef("app", [Role("r", str(tmp_path), entrypoint="x")])
        param = scheduler._to_popen_request(app, {}).role_params["r"][0]
        assert param.env["PATH"] == f"{tmp_path}/bin:{tmp_path}"
        scheduler.close()

    def test_two_roles_of_one_name_are_refused(self, scheduler: LocalScheduler) -> None:
        app = AppDef("app", shell("true").roles * 2)
        with pytest.raises(ValueError, match="two roles named `role`"):
            scheduler.submit_dryrun(app, {})

    def test_1000_replicas_are_laid_out(self, scheduler: LocalScheduler) -> None:
        app = shell("true")
        app.roles[0].num_replicas = 1000
        assert len(scheduler.submit_dryrun(app, {}).request.role_params["role"]) == 1000


class TestLogDirectories:
    def test_without_log_dir_there_is_a_temporary_view_and_the_logs_are_kept(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = scheduler.submit(shell("echo out"), {})
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        base = scheduler._base_log_dir
        assert base is not None
        assert scheduler._tmp_log_dirs == [base]
        view = Path(base, "session", app_id, "role", "0", "stdout.log")
        assert view.read_text() == "out\n"
        scheduler.close()
        assert scheduler._created_tmp_log_dir
        assert scheduler._base_log_dir == base
        assert not os.path.exists(base)
        assert scheduler._tmp_log_dirs == []
        assert list(scheduler.log_iter(app_id, "role")) == ["out\n"]

    def test_the_view_goes_away_with_a_process_that_closes_nothing(self, tmp_path: Path) -> None:
        program = (
            "import os, sys\n"
            "from torchx.schedulers.local_scheduler import create_scheduler\n"
            "from torchx.specs.api import AppDef, Role\n"
            "scheduler = create_scheduler('s')\n"
            "scheduler.submit(AppDef('app', [Role('r', '', entrypoint='true')]), {})\n"
            "if not os.fork(): sys.exit()\n"
            "os.wait()\n"
            "print(os.path.exists(scheduler._base_log_dir))\n"
        )
        (tmp_path / "tmp").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert done.stdout == "True\n"
        assert os.listdir(tmp_path / "tmp") == []

    def test_close_never_deletes_a_log_directory_that_the_user_named(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        # The order matters: a temporary directory first, then one of the user.
        scheduler.submit(shell("true"), {})
        app_id = scheduler.submit(shell("echo out"), {"log_dir": str(tmp_path / "logs")})
        finish(scheduler, app_id)
        scheduler.close()
        log = tmp_path / "logs" / "session" / app_id / "role" / "0" / "combined.log"
        assert log.read_text() == "out\n"

    def test_delete_removes_what_belongs_to_the_app_only(
        self, scheduler: LocalScheduler, tmp_path: Path, home: Path
    ) -> None:
        apps = [
            scheduler.submit(shell("echo out"), {"log_dir": str(tmp_path / "logs")})
            for _ in range(2)
        ]
        for app_id in apps:
            finish(scheduler, app_id)
        scheduler.delete(apps[0])
        assert scheduler.describe(apps[0]) is None
        assert not scheduler.exists(apps[0])
        assert os.listdir(tmp_path / "logs" / "session") == [apps[1]]
        assert os.listdir(home / "local") == [apps[1]]

    def test_an_existing_log_is_not_overwritten(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        info = scheduler.submit_dryrun(shell("echo new"), {"log_dir": str(tmp_path)})
        old = Path(info.request.role_params["role"][0].stdout)
        old.parent.mkdir(parents=True)
        old.write_text("old")
        with pytest.raises(FileExistsError, match=r"stdout\.log"):
            scheduler.schedule(info)
        assert old.read_text() == "old"

    def test_a_home_that_cannot_be_written_is_replaced_with_one_warning(
        self,
        scheduler: LocalScheduler,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "file" / "home"))
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        apps = [scheduler.submit(shell("echo out"), {}) for _ in range(2)]
        assert [finish(scheduler, app_id).state for app_id in apps] == [AppState.SUCCEEDED] * 2
        assert len([record for record in caplog.records if "TORCHX_HOME" in record.message]) == 1
        other = create_scheduler("other")
        assert {app.app_id for app in other.list()} == set(apps)
        assert list(other.log_iter(apps[0], "role")) == ["out\n"]
        other.close()


class TestDescribe:
    def test_a_running_app(self, scheduler: LocalScheduler) -> None:
        app_id = scheduler.submit(shell("sleep 1000"), {})
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.RUNNING
        assert description.ui_url == f"file://{scheduler._apps[app_id].log_dir}"
        assert [role.name for role in description.roles] == ["role"]
        scheduler.cancel(app_id)
        scheduler.cancel(app_id)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.CANCELLED
        assert scheduler.exists(app_id)

    def test_cancelling_a_finished_app_does_not_change_its_state(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = scheduler.submit(shell("exit 1"), {})
        assert finish(scheduler, app_id).state == AppState.FAILED
        scheduler.cancel(app_id)
        assert finish(scheduler, app_id).state == AppState.FAILED

    def test_an_unknown_app(self, scheduler: LocalScheduler) -> None:
        assert scheduler.describe("nosuch") is None
        assert not scheduler.exists("nosuch")
        scheduler.cancel("nosuch")
        scheduler.delete("nosuch")
        scheduler.wait_for_change("nosuch", 0.0)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ('{"message": {"a": 1}}', '{"message": {"a": 1}}'),
            ('{"half', '{"message": "{\\"half"}'),
            ("", '{"message": ""}'),
            ("[1, 2]", "[1, 2]"),
        ],
    )
    def test_an_error_file_of_any_form_reaches_the_status(
        self, scheduler: LocalScheduler, content: str, expected: str
    ) -> None:
        script = 'printf %s "$CONTENT" > "$TORCHELASTIC_ERROR_FILE"; exit 1'
        app_id = scheduler.submit(shell(script, CONTENT=content), {})
        description = finish(scheduler, app_id)
        assert description.structured_error_msg == expected
        replica = description.roles_statuses[0].replicas[0]
        assert replica.structured_error_msg == expected

    def test_the_newest_app_is_listed_first(self, scheduler: LocalScheduler) -> None:
        apps = [scheduler.submit(shell("true"), {}) for _ in range(3)]
        for app_id in apps:
            finish(scheduler, app_id)
        listed = scheduler.list()
        assert [app.app_id for app in listed] == apps[::-1]
        assert {app.state for app in listed} == {AppState.SUCCEEDED}
        assert scheduler.list({}) == listed

    def test_waiting_returns_when_the_app_ends_and_not_before(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        app_id = scheduler.submit(shell(script), {})
        assert (scheduler.describe(app_id) or DescribeAppResponse()).state == AppState.RUNNING
        (tmp_path / "go").touch()
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        scheduler.wait_for_change(app_id, 1000)

    def test_a_damaged_or_newer_record_is_an_unknown_app(
        self, scheduler: LocalScheduler, home: Path
    ) -> None:
        for name, content in (("a", "{"), ("b", '{"format": 99}'), ("c", "[]"), ("d", "")):
            (home / "local" / name).mkdir(parents=True)
            (home / "local" / name / "record.json").write_text(content)
            assert scheduler.describe(name) is None
        assert scheduler.list() == []


class TestCache:
    def test_a_full_cache_of_running_apps_is_an_error(self) -> None:
        scheduler = create_scheduler("s", cache_size=1)
        scheduler.submit(shell("sleep 1000"), {})
        with pytest.raises(IndexError, match=r"\(1\) exceeded"):
            scheduler.submit(shell("true"), {})
        scheduler.close()

    def test_an_app_that_finished_and_was_never_described_makes_room(self) -> None:
        scheduler = create_scheduler("s", cache_size=1)
        first = scheduler.submit(shell("true"), {})
        scheduler._apps[first].role_replicas["role"][0].proc.wait(30)
        other = create_scheduler("other")
        finish(other, first)
        second = scheduler.submit(shell("true"), {})
        assert list(scheduler._apps) == [second]
        assert scheduler.describe(first) is None
        assert other.describe(first) is not None
        scheduler.close()
        other.close()

    def test_the_app_that_ended_first_makes_room(self, scheduler: LocalScheduler) -> None:
        for name, state, updated in (
            ("a", AppState.RUNNING, 0),
            ("b", AppState.FAILED, 2),
            ("c", AppState.SUCCEEDED, 1),
            ("d", AppState.CANCELLED, 1),
        ):
            app = _LocalAppDef(id=name, log_dir="")
            app.set_state(state)
            app.last_updated = updated
            scheduler._apps[name] = app
        evicted: list[str] = []
        while scheduler._evict_lru():
            evicted.append(({"a", "b", "c", "d"} - scheduler._apps.keys() - set(evicted)).pop())
        assert evicted == ["c", "d", "b"]


class TestLogs:
    def test_an_argument_left_out_waits_and_an_explicit_false_does_not(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; seq 0 10"
        app_id = scheduler.submit(shell(script), {})
        assert list(scheduler.log_iter(app_id, "role", k=0, should_tail=False)) == []
        (tmp_path / "go").touch()
        numbers = [f"{number}\n" for number in range(11)]
        assert list(scheduler.log_iter(app_id, "role", k=0)) == numbers
        even = list(scheduler.log_iter(app_id, "role", regex="[02468]"))
        assert even == [line for line in numbers if any(digit in line for digit in "02468")]

    def test_streams_and_odd_bytes(self, scheduler: LocalScheduler) -> None:
        app_id = scheduler.submit(shell(r"printf '\002\305\330'; printf err >&2"), {})
        finish(scheduler, app_id)
        assert list(scheduler.log_iter(app_id, "role", streams=Stream.STDOUT)) == [
            "\x02\ufffd\ufffd"
        ]
        assert list(scheduler.log_iter(app_id, "role", streams=Stream.STDERR)) == ["err"]

    def test_an_unknown_app_is_a_key_error_at_once(self, scheduler: LocalScheduler) -> None:
        with pytest.raises(KeyError) as caught:
            scheduler.log_iter("nosuch", "role")
        assert isinstance(caught.value, UnknownAppException)
        assert "nosuch" in str(caught.value)

    @pytest.mark.parametrize(("role", "k"), [("nosuch", 0), ("role", 1), ("role", -1)])
    def test_an_unknown_replica_is_an_error_that_names_the_known_ones(
        self, scheduler: LocalScheduler, role: str, k: int
    ) -> None:
        app_id = scheduler.submit(shell("true"), {})
        with pytest.raises(RuntimeError, match=r"role \(0 to 0\)"):
            scheduler.log_iter(app_id, role, k)

    def test_a_log_that_was_removed_is_an_error(self, scheduler: LocalScheduler) -> None:
        app_id = scheduler.submit(shell("true"), {})
        finish(scheduler, app_id)
        Path(scheduler._apps[app_id].log_dir, "role", "0", "stdout.log").unlink()
        with pytest.raises(RuntimeError, match="is gone"):
            scheduler.log_iter(app_id, "role", streams=Stream.STDOUT)


class TestGpus:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LocalScheduler, "_cuda_device_count", lambda self: 8)

    def app(self, *roles: tuple[str, int, int]) -> AppDef:
        return AppDef(
            "app",
            [
                Role(
                    name,
                    "",
                    entrypoint="sleep",
                    args=["1000"],
                    num_replicas=replicas,
                    resource=Resource(cpu=1, gpu=gpu, memMB=1),
                )
                for name, replicas, gpu in roles
            ],
        )

    def given(self, request: PopenRequest) -> dict[str, list[str | None]]:
        return {
            name: [param.env.get("CUDA_VISIBLE_DEVICES") for param in params]
            for name, params in request.role_params.items()
        }

    ON: Mapping[str, CfgVal] = {"auto_set_cuda_visible_devices": True}

    def test_gpus_are_divided_among_the_replicas(self, scheduler: LocalScheduler) -> None:
        app = self.app(("a", 2, 1), ("b", 1, 0), ("c", 3, 2), ("d", 1, -1))
        assert self.given(scheduler._to_popen_request(app, self.ON)) == {
            "a": ["0", "1"],
            "b": [None],
            "c": ["2,3", "4,5", "6,7"],
            "d": [None],
        }

    def test_off_by_default_with_a_warning(
        self, scheduler: LocalScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.given(scheduler._to_popen_request(self.app(("a", 1, 1)), {})) == {"a": [None]}
        assert "auto_set_cuda_visible_devices" in caplog.text

    def test_too_many_are_not_divided(
        self, scheduler: LocalScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = scheduler._to_popen_request(self.app(("a", 3, 3)), self.ON)
        assert self.given(request) == {"a": [None] * 3}
        assert "asks for 9 GPUs, of 8 here 8 are free" in caplog.text

    def test_a_restriction_of_the_launcher_is_respected(
        self, scheduler: LocalScheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
        request = scheduler._to_popen_request(self.app(("a", 2, 1)), self.ON)
        assert self.given(request) == {"a": ["5", "7"]}

    def test_gpus_of_a_running_app_are_not_handed_out_again(
        self, scheduler: LocalScheduler
    ) -> None:
        app = self.app(("a", 2, 2))
        stale = scheduler.submit_dryrun(app, self.ON)
        first = scheduler.submit(app, self.ON)
        second = scheduler.submit_dryrun(app, self.ON)
        assert self.given(second.request) == {"a": ["4,5", "6,7"]}
        printed = str(stale)
        environ = Path("/proc", str(self.pid(scheduler, scheduler.schedule(stale))), "environ")
        assert b"CUDA_VISIBLE_DEVICES=4,5" in environ.read_bytes().split(b"\0")
        assert str(stale) == printed
        scheduler.cancel(first)
        third = scheduler.submit_dryrun(app, self.ON)
        assert self.given(third.request) == {"a": ["0,1", "2,3"]}

    def pid(self, scheduler: LocalScheduler, app_id: str) -> int:
        return scheduler._apps[app_id].role_replicas["a"][0].proc.pid


class TestGpuCount:
    @pytest.mark.parametrize(
        ("listing", "expected"),
        [
            ("", 0),
            ("GPU 0: NVIDIA A100 (UUID: GPU-1)\nGPU 1: NVIDIA A100 (UUID: GPU-2)\n\n", 2),
            ("GPU 0: NVIDIA A100 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\n", 1),
        ],
    )
    def test_it_counts_the_lines_of_nvidia_smi(
        self,
        scheduler: LocalScheduler,
        monkeypatch: pytest.MonkeyPatch,
        listing: str,
        expected: int,
    ) -> None:
        # This machine need not have GPUs; the layout of the listing is what is tested.
        monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=listing))
        assert scheduler._cuda_device_count() == expected

    @pytest.mark.parametrize("exit_code", [None, 9])
    def test_without_a_driver_there_are_none(
        self,
        scheduler: LocalScheduler,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        exit_code: int | None,
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        if exit_code is not None:
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nexit {exit_code}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        assert scheduler._cuda_device_count() == 0


class Quirky(LocalScheduler):
    """Sets its own attributes, as some packages do, and never calls the constructor above it."""

    def __init__(self) -> None:
        self.backend = "quirky"
        self.session_name = "session"
        self._apps = {}
        self._image_provider_class = CWDImageProvider
        self._cache_size = 100
        self._extra_paths = []
        self._base_log_dir = None
        self._created_tmp_log_dir = False


class Hosted(LocalScheduler):
    """Starts processes its own way."""

    def run_local_job(
        self, args: list[str], env: dict[str, str], stdout: Any, stderr: Any, cwd: str | None = None
    ) -> PopenProtocol:
        return super().run_local_job(args, {**env, "HOSTED": "yes"}, stdout, stderr, cwd)


class TestSubclasses:
    def test_one_that_does_not_call_the_constructor_works(self, home: Path) -> None:
        scheduler = Quirky()
        app_id = scheduler.submit(shell("echo out"), {})
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        assert list(scheduler.log_iter(app_id, "role")) == ["out\n"]
        scheduler.close()
        assert not os.path.exists(scheduler._base_log_dir or "")
        assert LocalScheduler._tmp_log_dirs == []

    def test_one_may_describe_apps_that_it_restored_by_itself(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        app = _LocalAppDef(id="restored", log_dir=str(tmp_path))
        app.role_replicas["role"] = []
        app.set_state(AppState.FAILED)
        scheduler._apps["restored"] = app
        description = scheduler.describe("restored")
        assert description is not None
        assert description.state == app.state == AppState.FAILED
        scheduler._apps["restored"].kill()
        assert repr(app) == "{app_id:restored, state:FAILED, pid_map:{'role': []}}"

    def test_one_that_starts_processes_its_own_way_hosts_them(self, tmp_path: Path) -> None:
        scheduler = Hosted("session", CWDImageProvider)
        script = f"echo $HOSTED; echo err >&2; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        app_id = scheduler.submit(shell(script), {"log_dir": str(tmp_path / "logs")})
        assert (scheduler.describe(app_id) or DescribeAppResponse()).state == AppState.RUNNING
        lines = iter(scheduler.log_iter(app_id, "role", should_tail=True))
        assert sorted(next(lines) for _ in range(2)) == ["err\n", "yes\n"]
        (tmp_path / "go").touch()
        assert list(lines) == []
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        logs = tmp_path / "logs" / "session" / app_id
        assert json.loads((logs / "SUCCESS").read_text())["final_state"] == "SUCCEEDED"
        scheduler.close()

    def test_hosted_processes_are_cancelled(self, tmp_path: Path) -> None:
        scheduler = Hosted("session", CWDImageProvider)
        app_id = scheduler.submit(shell("sleep 1000"), {})
        replica = scheduler._apps[app_id].role_replicas["role"][0]
        assert replica.is_alive()
        scheduler.cancel(app_id)
        assert not replica.is_alive()
        assert replica.failed()
        assert (scheduler.describe(app_id) or DescribeAppResponse()).state == AppState.CANCELLED
        scheduler.close()

    def test_what_a_hosted_replica_leaves_behind_ends_with_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torchx.schedulers.local.apps._KILL_TIMEOUT_S", 0.5)
        scheduler = Hosted("session", CWDImageProvider)
        deaf = f'trap "" TERM; echo $$$$ > {tmp_path}/pid; while :; do sleep 0.1; done'
        wait = f"until [ -s {tmp_path}/pid ]; do sleep 0.01; done; echo ready; exec sleep 1000"
        app_id = scheduler.submit(shell(f"sh -c '{deaf}' & {wait}"), {})
        assert next(iter(scheduler.log_iter(app_id, "role"))) == "ready\n"
        scheduler.cancel(app_id)
        left = read_stat(int((tmp_path / "pid").read_text()))
        assert left is None or left.ended
        scheduler.close()

    def test_a_hosted_replica_that_cannot_start_leaves_nothing(self) -> None:
        scheduler = Hosted("session", CWDImageProvider)
        started: list[_LocalReplica] = []
        popen = scheduler._popen

        def spying(**kwargs: Any) -> _LocalReplica:
            started.append(popen(**kwargs))
            return started[-1]

        scheduler._popen = spying  # type: ignore[method-assign,assignment]  # as packages do
        app = AppDef("app", [*shell("sleep 1000", "a").roles, Role("b", "", entrypoint="nosuch")])
        with pytest.raises(FileNotFoundError):
            scheduler.submit(app, {})
        assert [replica.is_alive() for replica in started] == [False]
        assert scheduler._apps == {}
        scheduler.close()

    def test_output_without_a_file_stays_on_the_console(
        self, scheduler: LocalScheduler, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        param = ReplicaParam(["/bin/echo", "to the console"], {}, cwd=str(tmp_path))
        request = PopenRequest("id", str(tmp_path), {"r": [param]}, {"r": [str(tmp_path / "r")]})
        info = AppDryRunInfo(request, repr)
        assert finish(scheduler, scheduler.schedule(info)).state == AppState.SUCCEEDED
        assert capfd.readouterr().out == "to the console\n"


class TestPopen:
    def test_a_replica_is_started_with_keywords_and_inherits_the_environment(
        self, scheduler: LocalScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INHERITED", "yes")
        monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
        monkeypatch.setenv("PATH", "/bin:/usr/bin")
        seen: dict[str, Any] = {}
        original = subprocess.Popen

        def spying(**kwargs: Any) -> subprocess.Popen[bytes]:
            seen.update(kwargs)
            return original(**kwargs)

        monkeypatch.setattr(subprocess, "Popen", spying)
        replica = scheduler._popen(
            role_name="r",
            replica_id=0,
            replica_params=ReplicaParam(["true"], {"PATH": "/x", "A": "b"}, str(tmp_path / "out")),
        )
        assert replica.proc.wait() == 0
        replica.terminate()
        replica.terminate()
        assert seen["start_new_session"]
        assert seen["env"]["PATH"] == "/x:/bin:/usr/bin"
        assert (seen["env"]["A"], seen["env"]["INHERITED"]) == ("b", "yes")
        assert seen["env"]["PYTHONUNBUFFERED"] == "x"
        assert replica.error_file == NA

    def test_an_existing_log_file_is_refused(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        (tmp_path / "log").touch()
        assert scheduler._get_file_io(None) is None
        with pytest.raises(FileExistsError, match="log_dir"):
            scheduler._get_file_io(str(tmp_path / "log"))

    def test_a_supervised_process_looks_like_a_popen(self, scheduler: LocalScheduler) -> None:
        app_id = scheduler.submit(shell("sleep 1000"), {})
        proc = scheduler._apps[app_id].role_replicas["role"][0].proc
        assert (proc.poll(), proc.returncode) == (None, None)
        with pytest.raises(subprocess.TimeoutExpired):
            proc.wait(0.01)
        proc.kill()
        assert proc.wait(30) == proc.returncode == -signal.SIGKILL
        assert finish(scheduler, app_id).state == AppState.FAILED


class TestSignals:
    PROGRAM = """
import sys, time
from torchx.schedulers.local_scheduler import create_scheduler
from torchx.specs.api import AppDef, Role
scheduler = create_scheduler("s")
try:
    app_id = scheduler.submit(AppDef("app", [Role("r", "", entrypoint="sleep", args=["1000"])]), {})
    print(scheduler._apps[app_id].role_replicas["r"][0].proc.pid, flush=True)
    time.sleep(1000)
finally:
    scheduler.close()
    print("closed", flush=True)
"""

    def test_a_process_that_is_told_to_end_closes_its_scheduler(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.terminate()
        out, err = process.communicate(timeout=30)
        assert out == "closed\n"
        assert "SignalException: Process" in err
        assert read_stat(pid) is None

    def test_handlers_of_the_user_stay_and_ours_go_with_the_scheduler(self) -> None:
        former = signal.getsignal(signal.SIGTERM)
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            first, second = create_scheduler("s"), create_scheduler("s")
            assert signal.getsignal(signal.SIGTERM) is local_scheduler._terminate_process_handler
            first.close()
            assert signal.getsignal(signal.SIGTERM) is local_scheduler._terminate_process_handler
            second.close()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            create_scheduler("s").close()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGTERM, former)

    def test_the_handler_raises(self) -> None:
        with pytest.raises(SignalException, match=f"Process {os.getpid()} got signal") as caught:
            local_scheduler._terminate_process_handler(signal.SIGTERM, None)
        assert caught.value.sigval is signal.SIGTERM


class Downloading(LogIterator):
    """Fetches its log when it is asked for the state, as some packages do."""

    def __init__(self, target: Path) -> None:
        self._app_id = "id"
        self._log_file = "/nowhere"
        self._log_fp = None
        self._scheduler = None  # type: ignore[assignment]  # as packages do
        self._app_finished = False
        self._target = target

    def _check_finished(self) -> None:
        self._target.write_bytes("one\ntwö".encode())
        self._log_file = str(self._target)
        self._app_finished = True


class TestLogIterator:
    def test_a_subclass_may_download_the_log(self, tmp_path: Path) -> None:
        assert list(Downloading(tmp_path / "log")) == ["one\n", "twö"]

    def test_it_follows_a_file_without_tearing_lines(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = f"for i in 1 2 3; do printf 'a€'; sleep 0.1; echo b; done > {tmp_path}/log"
        app_id = scheduler.submit(shell(script), {})
        chunks = list(LogIterator(app_id, str(tmp_path / "log"), scheduler))
        assert "".join(chunks) == "a€b\n" * 3
        assert all(chunk.endswith("\n") for chunk in chunks)

    def test_a_file_that_is_never_written_is_an_error(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        app_id = scheduler.submit(shell("true"), {})
        with pytest.raises(RuntimeError, match="finished without writing"):
            iter(LogIterator(app_id, str(tmp_path / "log"), scheduler))


def test_a_scheduler_that_is_garbage_ends_its_apps(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = create_scheduler("s")
    app_id = scheduler.submit(shell("sleep 1000"), {})
    pid = scheduler._apps[app_id].role_replicas["role"][0].proc.pid
    with caplog.at_level(logging.WARNING):
        del scheduler
    deadline = time.monotonic() + 30
    while read_stat(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not caplog.records
