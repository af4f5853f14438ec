from __future__ import annotations

from collections.abc import Mapping

import pytest

from torchx.schedulers import api
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.specs.api import (
    NULL_RESOURCE,
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    InvalidRunConfigException,
    Resource,
    Role,
    Workspace,
    runopts,
)
from torchx.workspace.api import WorkspaceMixin


class RecordingScheduler(Scheduler[Mapping[str, CfgVal]]):
    """Keeps its apps in memory."""

    def __init__(self, session_name: str) -> None:
        super().__init__("mock", session_name)
        self.states: dict[str, AppState] = {}

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("foo", type_=str, required=True, help="Something.")
        opts.add("quiet", type_=bool, default=True, help="Ours.")
        return opts

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[AppDef]:
        return AppDryRunInfo(app, repr)

    def schedule(self, dryrun_info: AppDryRunInfo[AppDef]) -> str:
        app_id = f"{dryrun_info.request.name}-{len(self.states)}"
        self.states[app_id] = AppState.RUNNING
        return app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        if app_id not in self.states:
            return None
        return DescribeAppResponse(app_id=app_id, state=self.states[app_id])

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> list[ListAppResponse]:
        return [ListAppResponse(app_id, state) for app_id, state in self.states.items()]

    def _cancel_existing(self, app_id: str) -> None:
        self.states[app_id] = AppState.CANCELLED


class PatchingMixin(WorkspaceMixin[None]):
    def workspace_opts(self) -> runopts:
        opts = runopts()
        opts.add("quiet", type_=bool, default=False, help="The workspace's.")
        return opts

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        role.image = workspace


class MixinFirst(PatchingMixin, RecordingScheduler):
    pass


class MixinLast(RecordingScheduler, PatchingMixin):
    pass


class CountingRole(Role):
    """Counts how often it is asked to change a request, and does so."""

    def pre_proc(self, scheduler: str, dryrun_info: AppDryRunInfo[AppDef]) -> AppDryRunInfo[AppDef]:
        self.metadata[f"asked by {scheduler}"] = self.metadata.get(f"asked by {scheduler}", 0) + 1
        return AppDryRunInfo(dryrun_info.request, lambda request: f"changed by {self.name}")


def app_of(*roles: Role) -> AppDef:
    return AppDef(name="app", roles=list(roles))


def role(name: str = "worker") -> Role:
    return Role(name=name, image="img", resource=Resource(cpu=1, gpu=0, memMB=1))


def test_everything_that_plugins_import_from_here_is_here() -> None:
    assert not [name for name in api.__all__ if not hasattr(api, name)]
    assert api.DAYS_IN_2_WEEKS == 14
    assert [stream.value for stream in Stream] == ["stdout", "stderr", "combined"]


def test_a_response_is_unset_unless_told_otherwise() -> None:
    assert DescribeAppResponse() == DescribeAppResponse(
        "<NOT_SET>", AppState.UNSUBMITTED, -1, "<NONE>", "<NONE>", None, {}, [], []
    )


def test_list_responses_are_told_apart_in_a_set() -> None:
    first = ListAppResponse("a", AppState.RUNNING)
    assert {first, ListAppResponse("a", AppState.RUNNING)} == {first}
    assert len({first, ListAppResponse("a", AppState.FAILED)}) == 2


def test_submit_resolves_the_run_config_first() -> None:
    with pytest.raises(InvalidRunConfigException, match="foo"):
        RecordingScheduler("s").submit(app_of(), {})


def test_submit_returns_the_id_and_cancel_and_delete_need_it_to_exist() -> None:
    scheduler = RecordingScheduler("s")
    app_id = scheduler.submit(app_of(role()), {"foo": "a"})
    assert scheduler.exists(app_id)
    scheduler.cancel("other")
    scheduler.delete("other")
    assert scheduler.list() == [ListAppResponse(app_id, AppState.RUNNING)]
    scheduler.cancel(app_id)
    assert scheduler.states == {app_id: AppState.CANCELLED}
    scheduler.states[app_id] = AppState.RUNNING
    scheduler.delete(app_id)
    assert scheduler.states == {app_id: AppState.CANCELLED}
    scheduler.close()
    scheduler.close()


def test_submit_dryrun_asks_each_role_once_and_says_what_it_was_made_of() -> None:
    app = app_of(CountingRole(name="a", image=""), CountingRole(name="b", image=""))
    info = RecordingScheduler("s").submit_dryrun(app, {"foo": "x"})
    assert [each.metadata for each in app.roles] == [{"asked by mock": 1}] * 2
    assert str(info) == "changed by b"
    assert info.app is app
    assert dict(info.cfg) == {"foo": "x", "quiet": True}


def test_a_workspace_needs_a_scheduler_that_supports_them() -> None:
    with pytest.raises(ValueError, match="`mock` does not support workspaces"):
        RecordingScheduler("s").submit(app_of(role()), {"foo": "a"}, workspace="dir")


@pytest.mark.parametrize("scheduler", [MixinFirst("s"), MixinLast("s")])
@pytest.mark.parametrize("workspace", ["//workspace", Workspace({"//workspace": ""})])
def test_a_workspace_is_built_for_the_first_role(
    scheduler: RecordingScheduler, workspace: str | Workspace
) -> None:
    app = app_of(role("a"), role("b"))
    scheduler.submit(app, {"foo": "a"}, workspace)
    assert [each.image for each in app.roles] == ["//workspace", "img"]


def test_workspace_options_are_added_and_win() -> None:
    options = dict(MixinFirst("s").run_opts())
    assert list(options) == ["foo", "quiet"]
    assert options["quiet"].help == "The workspace's."


def test_a_role_without_resource_is_named_with_its_image() -> None:
    app = app_of(role("fine"), Role(name="worker", image="img:1", resource=NULL_RESOURCE))
    with pytest.raises(ValueError, match=r"worker.*img:1.*kubernetes"):
        RecordingScheduler("s")._validate(app, "kubernetes", {})


def test_validate_can_be_called_with_two_arguments_and_without_fault() -> None:
    scheduler = RecordingScheduler("s")
    scheduler._validate(app_of(role()), "mock")
    scheduler._pre_build_validate(app_of(role()), "mock", {})


def test_logs_are_not_supported_unless_a_back_end_does() -> None:
    with pytest.raises(
        NotImplementedError, match="RecordingScheduler does not support application log iteration"
    ):
        RecordingScheduler("s").log_iter("app", "role")


def test_waiting_for_a_change_backs_off_up_to_the_timeout_for_each_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    now_s = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        slept.append(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    scheduler = RecordingScheduler.__new__(RecordingScheduler)
    for _ in range(6):
        scheduler.wait_for_change("app", 5)
    scheduler.wait_for_change("other", 5)
    now_s += 60
    scheduler.wait_for_change("app", 5)
    scheduler.wait_for_change("app", 0)
    assert slept == [0.5, 1, 2, 4, 5, 5, 0.5, 0.5, 0]
