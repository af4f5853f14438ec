from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from torchx.runner import Runner
from torchx.specs import AppDef, Resource, Role, Workspace

if TYPE_CHECKING:
    from tests.runner.conftest import BuildingScheduler


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
