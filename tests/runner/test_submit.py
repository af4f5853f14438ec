from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.runner.conftest import BuildingScheduler
from torchx.runner import Runner
from torchx.runner.submit import previewed_workspaces
from torchx.specs import AppDef, CfgVal, Resource, Role, Workspace
from torchx.workspace.preview import WorkspacePreview


def two_roles(first: Workspace | None, second: Workspace | None) -> AppDef:
    resource = Resource(cpu=1, gpu=0, memMB=1)
    return AppDef(
        "a",
        [
            Role("r0", "img0", entrypoint="x", resource=resource, workspace=first),
            Role("r1", "img1", entrypoint="x", resource=resource, workspace=second),
        ],
    )


A, B = Workspace({"/a": ""}), Workspace({"/b": ""})


@pytest.mark.parametrize(
    ("first", "second", "argument", "images"),
    [
        (None, None, "/arg", ["img0+/arg", "img1"]),
        (None, None, Workspace({"/arg": ""}), ["img0+/arg", "img1"]),
        (A, None, "/arg", ["img0+/arg", "img1"]),
        (A, B, "/arg", ["img0+/arg", "img1+/b"]),
        (A, B, None, ["img0+/a", "img1+/b"]),
        (A, B, "", ["img0+/a", "img1+/b"]),
        (None, None, None, ["img0", "img1"]),
    ],
)
def test_the_argument_is_the_workspace_of_the_first_role(
    runner: Runner,
    first: Workspace | None,
    second: Workspace | None,
    argument: Workspace | str | None,
    images: list[str],
) -> None:
    info = runner.dryrun(two_roles(first, second), "building", workspace=argument)
    assert info.app is not None
    assert [role.image for role in info.app.roles] == images


def test_a_missing_resource_is_told_before_a_workspace_is_built(
    runner: Runner, app: AppDef, building: BuildingScheduler
) -> None:
    app.roles.append(Role(name="last", image="", entrypoint="x"))
    with pytest.raises(ValueError, match="last"):
        runner.dryrun(app, "building", workspace="/code")
    assert building.calls.order == []


def test_a_scheduler_with_checks_of_its_own_sees_what_was_built(
    runner: Runner,
    app: AppDef,
    building: BuildingScheduler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = building.calls.order

    def check(app: AppDef, scheduler: str, cfg: object = None) -> None:
        order.append(f"{scheduler} {app.roles[0].image}")

    def before(self: object, app: AppDef, scheduler: str, cfg: object = None) -> None:
        check(app, scheduler)

    monkeypatch.setattr(type(building), "_pre_build_validate", before)
    monkeypatch.setattr(type(building), "_validate", before)
    runner.dryrun(app, "building", workspace="/code")
    assert order == ["building img", "build", "building img+/code"]


def test_a_workspace_that_goes_unused_is_told(
    runner: Runner, app: AppDef, caplog: pytest.LogCaptureFixture
) -> None:
    runner.dryrun(app, "memory", workspace="/code")
    assert "scheduler `memory` builds no workspaces: /code is ignored" in caplog.text


class PreviewingScheduler(BuildingScheduler):
    """Can tell what it would build, unless a test takes that away."""

    can_tell = True

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        if not self.can_tell:
            return None
        self.calls.order.append("preview")
        for role in roles:
            role.image += "+preview"
        return [WorkspacePreview(["r0"], "w", "img+preview", "digest", 1, 2)]


@pytest.fixture
def previewing() -> PreviewingScheduler:
    return PreviewingScheduler()


@pytest.fixture
def previewing_runner(previewing: PreviewingScheduler) -> Iterator[Runner]:
    with Runner("test", {"previewing": lambda session_name, **_: previewing}) as opened:
        yield opened


def test_a_dry_run_that_is_only_shown_builds_nothing(
    previewing_runner: Runner, app: AppDef, previewing: PreviewingScheduler
) -> None:
    with previewed_workspaces() as previews:
        info = previewing_runner.dryrun(app, "previewing", workspace="/code")
    assert previewing.calls.order == ["preview"]
    assert [preview.workspace for preview in previews] == ["w"]
    assert info.app is not None
    assert info.app.roles[0].image == "img+preview"


def test_a_dry_run_that_may_be_submitted_builds_once(
    previewing_runner: Runner, app: AppDef, previewing: PreviewingScheduler
) -> None:
    with previewed_workspaces():
        previewing_runner.dryrun(app, "previewing", workspace="/code")
    info = previewing_runner.dryrun(app, "previewing", workspace="/code")
    previewing_runner.schedule(info)
    assert previewing.calls.order == ["preview", "build"]
    assert info.app is not None
    assert info.app.roles[0].image == "img+/code"


def test_what_cannot_be_told_is_built(
    previewing_runner: Runner,
    runner: Runner,
    app: AppDef,
    previewing: PreviewingScheduler,
    building: BuildingScheduler,
) -> None:
    previewing.can_tell = False
    with previewed_workspaces() as previews:
        previewing_runner.dryrun(app, "previewing", workspace="/code")
        runner.dryrun(app, "building", workspace="/code")
    assert previews == []
    assert (previewing.calls.order, building.calls.order) == (["build"], ["build"])
