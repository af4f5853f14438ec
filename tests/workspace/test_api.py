from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from torchx.specs.api import AppDef, CfgVal, Role, Workspace
from torchx.workspace.api import PkgInfo, WorkspaceBuilder, WorkspaceMixin


class RecordingMixin(WorkspaceMixin[None]):
    """Implements the older hook only, and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        tree = [
            os.path.relpath(os.path.join(directory, name), workspace)
            for directory, _, names in os.walk(workspace)
            for name in names
        ]
        self.seen.append((workspace, sorted(tree)))
        role.image = f"{role.image}:{len(self.seen)}"


class CachingMixin(WorkspaceMixin[None]):
    """Builds each pair of image and workspace once."""

    def __init__(self) -> None:
        self.builds = 0

    def caching_build_workspace_and_update_role(
        self, role: Role, cfg: Mapping[str, CfgVal], build_cache: dict[object, object]
    ) -> None:
        key = (role.image, role.workspace)
        if key not in build_cache:
            self.builds += 1
            build_cache[key] = f"{role.image}-{self.builds}"
        role.image = str(build_cache[key])


def role(image: str, workspace: Workspace | None) -> Role:
    return Role(name=image, image=image, workspace=workspace)


@pytest.fixture
def two_projects(tmp_path: Path) -> Workspace:
    for path in ("proj_a/a.py", "proj_b/b.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    return Workspace({str(tmp_path / "proj_a"): "", str(tmp_path / "proj_b"): "b"})


def test_several_projects_are_merged_for_each_role_and_then_removed(
    two_projects: Workspace,
) -> None:
    mixin = RecordingMixin()
    roles = [role(image, two_projects) for image in ("bar", "bar", "baz")]
    mixin.build_workspaces(roles, {})
    assert [each.image for each in roles] == ["bar:1", "bar:2", "baz:3"]
    assert [tree for _, tree in mixin.seen] == [["a.py", os.path.join("b", "b.py")]] * 3
    assert not any(os.path.exists(workspace) for workspace, _ in mixin.seen)


def test_a_single_project_is_handed_on_as_it_is() -> None:
    mixin = RecordingMixin()
    mixin.build_workspaces([role("img", Workspace({"memory://foo": ""}))], {})
    assert [workspace for workspace, _ in mixin.seen] == ["memory://foo"]


def test_roles_without_workspace_are_left_alone() -> None:
    mixin = RecordingMixin()
    roles = [role("a", None), role("b", Workspace({}))]
    mixin.build_workspaces(roles, {})
    mixin.caching_build_workspace_and_update_role(roles[0], {}, {})
    assert mixin.seen == []
    assert [each.image for each in roles] == ["a", "b"]


def test_a_new_image_is_logged_with_its_role(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RecordingMixin().build_workspaces([role("img", Workspace({"memory://foo": ""}))], {})
    assert "role[0]=img" in caplog.text
    assert "img:1" in caplog.text


def test_the_cache_lives_for_one_app() -> None:
    mixin = CachingMixin()
    workspace = Workspace({"/a": ""})
    for _ in range(2):
        mixin.build_workspaces([role("x", workspace), role("x", workspace)], {})
    assert mixin.builds == 2


def test_what_a_mixin_does_not_implement_is_an_error_that_names_it() -> None:
    mixin: WorkspaceMixin[None] = WorkspaceMixin()
    assert len(mixin.workspace_opts()) == 0
    with pytest.raises(NotImplementedError, match="caching_build_workspace_and_update_role"):
        mixin.build_workspaces([role("x", Workspace({"/a": ""}))], {})
    with pytest.raises(NotImplementedError):
        mixin.dryrun_push_images(AppDef(name="app"), {})
    with pytest.raises(NotImplementedError):
        mixin.push_images(None)


def test_the_older_builder_classes_warn_where_they_are_used() -> None:
    with pytest.warns(FutureWarning, match=r"PkgInfo is deprecated and will be removed") as caught:
        PkgInfo(img="a", lazy_overrides={}, metadata=None)
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning, match="WorkspaceBuilder is deprecated"):
        builder: WorkspaceBuilder[None, str] = WorkspaceBuilder(cfg="a")
    with pytest.raises(NotImplementedError):
        builder.build_workspace()
