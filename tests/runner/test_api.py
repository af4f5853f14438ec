from __future__ import annotations

import copy
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchx.runner import Runner, api, get_runner
from torchx.runner.events import TorchxEvent
from torchx.specs import (
    AppDef,
    AppDryRunInfo,
    InvalidRunConfigException,
    UnknownSchedulerException,
)
from torchx.util import session

if TYPE_CHECKING:
    from tests.runner.conftest import MemoryScheduler

ECHO = "utils.echo"


def test_a_dry_run_leaves_the_callers_app_as_it_is(runner: Runner, app: AppDef) -> None:
    before = copy.deepcopy(app)
    info = runner.dryrun(app, "building", workspace="/code", parent_run_id="parent")
    assert app == before
    assert info.app is not None
    assert info.app.roles[0].image == "img+/code"


def test_a_dry_run_with_what_cannot_be_copied_shares_it(runner: Runner, app: AppDef) -> None:
    lock = threading.Lock()
    app.roles[0].overrides = {"image": lambda: f"lazy-{lock.locked()}"}
    info = runner.dryrun(app, "memory")
    assert info.app is not None
    assert info.app.roles[0] is not app.roles[0]
    assert info.app.roles[0].overrides is app.roles[0].overrides
    assert info.app.roles[0].image == "lazy-False"


def test_one_app_is_dry_run_for_several_schedulers(runner: Runner, app: AppDef) -> None:
    ids = [
        runner.dryrun(app, scheduler).request.app.roles[0].env["TORCHX_JOB_ID"]
        for scheduler in ("memory", "building")
    ]
    assert ids == ["memory://test/${app_id}", "building://test/${app_id}"]


def test_replicas_learn_what_they_belong_to(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "torchx.runner.api.get_configured_trackers", lambda: {"t1": None, "t2": "conf"}
    )
    env = runner.dryrun(app, "memory", parent_run_id="parent").request.app.roles[0].env
    assert env == {
        "LEVEL": "1",
        "TORCHX_JOB_ID": "memory://test/${app_id}",
        "TORCHX_INTERNAL_SESSION_ID": session.CURRENT_SESSION_ID,
        "TORCHX_PARENT_RUN_ID": "parent",
        "TORCHX_TRACKERS": "t1,t2",
        "TORCHX_TRACKER_T2_CONFIG": "conf",
    }


def test_the_parent_run_of_the_environment_wins(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PARENT_RUN_ID", "inherited")
    env = runner.dryrun(app, "memory", parent_run_id="given").request.app.roles[0].env
    assert env["TORCHX_PARENT_RUN_ID"] == "inherited"


def test_run_submits_and_remembers(runner: Runner, app: AppDef, memory: MemoryScheduler) -> None:
    handle = runner.run(app, "memory", cfg={"queue": "short"})
    assert handle == "memory://test/train-1"
    assert memory.submitted[0].cfg["queue"] == "short"
    assert memory.submitted[0].cfg["nodes"] == 1
    assert runner.describe(handle) is memory.submitted[0].app


def test_run_can_stop_before_submitting(
    runner: Runner, app: AppDef, memory: MemoryScheduler
) -> None:
    info = runner.run(app, "memory", dryrun=True)
    assert isinstance(info, AppDryRunInfo)
    assert memory.submitted == []


def test_a_request_submitted_twice_is_the_same_request(
    runner: Runner, app: AppDef, memory: MemoryScheduler
) -> None:
    info = runner.dryrun(app, "memory")
    before = copy.deepcopy(info.request)
    assert [runner.schedule(info), runner.schedule(info)] == [
        "memory://test/train-1",
        "memory://test/train-2",
    ]
    assert memory.submitted == [before, before]


def test_a_request_of_nobody_is_not_submitted(runner: Runner, app: AppDef) -> None:
    with pytest.raises(AssertionError, match=r"Runner\.dryrun"):
        runner.schedule(AppDryRunInfo(app, repr))


def test_an_unknown_scheduler_is_named_with_the_known_ones(runner: Runner, app: AppDef) -> None:
    with pytest.raises(UnknownSchedulerException, match="memmory") as caught:
        runner.run(app, "memmory")
    assert isinstance(caught.value, KeyError)
    assert "memory" in caught.value.hint


def test_an_unknown_run_option_is_warned_about_with_the_closest(
    runner: Runner, app: AppDef, caplog: pytest.LogCaptureFixture
) -> None:
    runner.dryrun(app, "memory", cfg={"quueue": "short"})
    assert "no run option `quueue`, did you mean `queue`?" in caplog.text


def test_a_run_option_of_the_wrong_type_is_refused(runner: Runner, app: AppDef) -> None:
    with pytest.raises(InvalidRunConfigException, match="nodes"):
        runner.dryrun(app, "memory", cfg={"nodes": "many"})


def test_a_submitted_job_is_not_lost_over_options_that_json_cannot_tell(
    runner: Runner, app: AppDef, memory: MemoryScheduler
) -> None:
    info = runner.dryrun(app, "memory")
    hostile: dict[str, Any] = {"odd": object()}
    hostile["circular"] = hostile
    info._cfg = hostile
    handle = runner.schedule(info)
    assert runner.describe(handle) is info.app


def test_a_submitted_job_is_not_lost_when_its_event_cannot_be_recorded(
    runner: Runner,
    app: AppDef,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: TorchxEvent) -> None:
        raise OSError("event store is down")

    monkeypatch.setattr("torchx.runner.events.record", fail)
    assert runner.run(app, "memory") == "memory://test/train-1"
    assert "event store is down" in caplog.text


def test_a_run_is_told_by_three_events(
    runner: Runner, app: AppDef, recorded: list[TorchxEvent]
) -> None:
    runner.run(app, "memory", cfg={"queue": "short"}, workspace="")
    told = [(event.api, event.scheduler, event.app_id) for event in recorded]
    assert told == [
        ("dryrun", "memory", "train"),
        ("schedule", "memory", "train-1"),
        ("run", "memory", "train-1"),
    ]
    assert [event.app_image for event in recorded] == ["img"] * 3
    assert [event.app_metadata for event in recorded] == [{"team": "ml"}] * 3
    assert [event.session for event in recorded] == [session.CURRENT_SESSION_ID] * 3
    assert json.loads(recorded[0].runcfg or "") == {"queue": "short"}
    assert json.loads(recorded[1].runcfg or "")["nodes"] == 1


def test_a_component_is_submitted_with_words_or_values(
    runner: Runner, memory: MemoryScheduler, recorded: list[TorchxEvent]
) -> None:
    runner.run_component(ECHO, ["--msg", "a b"], "memory")
    runner.run_component(ECHO, {"msg": "a b"}, "memory")
    assert [request.app.roles[0].args for request in memory.submitted] == [["a b"]] * 2
    assert [event.api for event in recorded][:3] == ["dryrun", "schedule", "run_component"]


def test_a_given_argument_beats_the_configured_default(memory: MemoryScheduler) -> None:
    defaults = {ECHO: {"msg": "configured", "num_replicas": "3"}}
    with Runner("test", {"memory": lambda session_name, **_: memory}, defaults) as runner:
        runner.run_component(ECHO, ["--msg", "given"], "memory")
    (role,) = memory.submitted[0].app.roles
    assert (role.args, role.num_replicas) == (["given"], 3)


def test_components_are_looked_up_in_this_module(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found:
        @staticmethod
        def fn() -> AppDef:
            return app

    monkeypatch.setattr("torchx.runner.api.get_component", lambda name: Found)
    assert runner.dryrun_component("any", [], "memory").request.app.name == "train"


def test_run_component_composes_through_the_instance(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[AppDef] = []

    def dryrun(app: AppDef, scheduler: str, **_: object) -> AppDryRunInfo[str]:
        seen.append(app)
        return AppDryRunInfo("request", str)

    monkeypatch.setattr(runner, "dryrun", dryrun)
    monkeypatch.setattr(runner, "schedule", lambda info: "sample://torchx/app_handle")
    assert runner.run_component(ECHO, [], "any") == "sample://torchx/app_handle"
    assert seen[0].roles[0].name == "echo"


def test_get_runner_uses_all_schedulers_and_creates_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(session_name: str, **_: object) -> None:
        pytest.fail("a scheduler was created")

    monkeypatch.setattr("torchx.runner.api.get_scheduler_factories", lambda: {"a": never})
    with get_runner() as runner:
        assert (runner.name(), runner.scheduler_backends()) == ("torchx", ["a"])


def test_a_session_name_is_deprecated() -> None:
    with pytest.warns(FutureWarning, match="custom") as warned:
        runner = get_runner("custom")
    assert warned[0].filename == __file__
    assert runner.name() == "custom"


def test_a_runner_finds_schedulers_only_when_none_are_given(
    monkeypatch: pytest.MonkeyPatch, memory: MemoryScheduler
) -> None:
    monkeypatch.setattr(
        "torchx.runner.api.get_scheduler_factories", lambda: {"found": lambda **_: memory}
    )
    assert Runner().scheduler_backends() == ["found"]
    assert Runner("", {}).scheduler_backends() == []


def test_trackers_come_from_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / ".torchxconfig").write_text(
        "[DEFAULT]\nshared = x\n[torchx:tracker]\nt1 =\nt2 =\n[tracker:t2]\nconfig = /conf\n"
    )
    assert api.get_configured_trackers() == {"t1": None, "t2": "/conf"}


def test_trackers_of_the_environment_replace_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".torchxconfig").write_text("[torchx:tracker]\nt1 =\n[tracker:t9]\nconfig = f\n")
    monkeypatch.setenv("TORCHX_TRACKERS", " t8 ,,t9")
    monkeypatch.setenv("TORCHX_TRACKER_T8_CONFIG", "env")
    assert api.get_configured_trackers() == {"t8": "env", "t9": "f"}


def test_an_empty_list_of_trackers_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_TRACKERS", "")
    assert api.get_configured_trackers() == {}


def test_the_configuration_of_a_tracker_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHX_TRACKERS", "t1")
    monkeypatch.setenv("TORCHX_TRACKER_T1_CONFIG", "mysql://u:hidden@h/db")
    with caplog.at_level("DEBUG"):
        api.get_configured_trackers()
    assert "t1" in caplog.text
    assert "hidden" not in caplog.text
