"""Images of workspaces, built by a real engine."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from tests.real.workspace.conftest import Files, layers_of
from torchx.errors import TorchXError
from torchx.specs.api import Role, Workspace
from torchx.workspace.docker_build import WORKSPACE_REPO
from torchx.workspace.docker_workspace import BuildError, DockerWorkspaceMixin
from torchx.workspace.prune import prune_workspaces

if TYPE_CHECKING:
    from docker import DockerClient

Build = Callable[..., str]
FilesIn = Callable[[str], Files]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, engine: DockerClient) -> list[int]:
    """Sizes in bytes of the contexts that are sent to the engine."""
    sent: list[int] = []
    original: Callable[..., object] = engine.api.build

    def recorded(*args: object, **kwargs: object) -> object:
        context = kwargs["fileobj"]
        assert isinstance(context, io.FileIO)
        sent.append(os.fstat(context.fileno()).st_size)
        return original(*args, **kwargs)

    monkeypatch.setattr(engine.api, "build", recorded)
    return sent


def test_an_image_holds_the_base_and_the_code(build: Build, files_in: FilesIn, code: Path) -> None:
    (code / "inner").symlink_to("lib")
    (code / "dangling").symlink_to("/nowhere")
    Path(os.fsdecode(os.fsencode(code) + b"/\xff\xfe")).write_text("x")
    found = files_in(build(code))
    assert found.keys() == {
        *("base", "Dockerfile.torchx", "main.py", "run.sh", "lib/a.py", "lib/big.py"),
        *("inner", "dangling", "\udcff\udcfe"),
    }
    assert (found["run.sh"].mode & 0o777, found["main.py"].mode & 0o777) == (0o755, 0o644)
    assert (found["inner"].linkname, found["dangling"].linkname) == ("lib", "/nowhere")


def test_an_image_tells_by_labels_what_is_in_it(
    build: Build, code: Path, engine: DockerClient
) -> None:
    from torchx.workspace.provenance import provenance_of

    labels = engine.images.get(build(code)).labels
    (source,) = provenance_of(Workspace({str(code): ""}))
    assert labels[DockerWorkspaceMixin.LABEL_WORKSPACE] == source.digest
    assert DockerWorkspaceMixin.LABEL_VERSION in labels


def test_unchanged_code_is_neither_packed_nor_built_again(
    build: Build, code: Path, builds: list[int]
) -> None:
    first = build(code)
    os.utime(code / "main.py")
    assert build(code) == first
    assert len(builds) == 1


def test_an_image_is_found_again_without_any_cache(
    build: Build, code: Path, builds: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = build(code)
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "another"))
    assert build(code) == first
    assert len(builds) == 1


def test_roles_with_one_image_and_one_workspace_share_a_build(
    engine: DockerClient, base: str, code: Path, builds: list[int], torchx_home: Path
) -> None:
    workspace = Workspace({str(code): ""})
    roles = [Role(name=name, image=base, workspace=workspace) for name in "ab"]
    DockerWorkspaceMixin(docker_client=engine).build_workspaces(roles, {})
    assert roles[0].image == roles[1].image
    assert len(builds) == 1


def test_a_change_sends_only_what_changed(
    build: Build, files_in: FilesIn, code: Path, builds: list[int], engine: DockerClient
) -> None:
    (code / "data").write_bytes(os.urandom(1_000_000))
    first = build(code)
    (code / "main.py").write_text("print('ho')\n")
    (code / "run.sh").chmod(0o700)
    (code / "new.py").write_text("new")
    second = build(code)
    assert builds[0] > 1_000_000 > 50_000 > builds[1]
    assert layers_of(engine, second)[:-1] == layers_of(engine, first)
    found = files_in(second)
    assert found.keys() == files_in(first).keys() | {"new.py"}
    assert found["main.py"].size == 12
    assert found["run.sh"].mode & 0o777 == 0o700


def test_what_was_deleted_is_gone_from_the_image(
    build: Build, files_in: FilesIn, code: Path
) -> None:
    before = files_in(build(code))
    (code / "lib" / "a.py").unlink()
    assert before.keys() - files_in(build(code)).keys() == {"lib/a.py"}


def test_a_file_that_became_a_link_is_a_link_in_the_image(
    build: Build, files_in: FilesIn, code: Path
) -> None:
    build(code)
    (code / "main.py").unlink()
    (code / "main.py").symlink_to("lib/a.py")
    assert files_in(build(code))["main.py"].linkname == "lib/a.py"


def test_changes_on_top_of_changes_stay_within_what_an_image_can_hold(
    build: Build,
    files_in: FilesIn,
    code: Path,
    engine: DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torchx.workspace.docker_layers._MAX_DEPTH", 2)
    depths = []
    for number in range(5):
        (code / "main.py").write_text(f"print({number})\n")
        image = build(code, quiet=True)
        depths.append(len(layers_of(engine, image)))
    assert depths == [2, 3, 4, 2, 3]
    assert files_in(image).keys() == {
        *("base", "Dockerfile.torchx", "main.py", "run.sh", "lib/a.py", "lib/big.py")
    }


@pytest.mark.parametrize("damage", ["", "[]", '{"version": 1}', '{"version": 1, "files": 3}'])
def test_a_damaged_record_of_an_image_costs_only_time(
    build: Build, files_in: FilesIn, code: Path, torchx_home: Path, damage: str
) -> None:
    build(code)
    (record,) = torchx_home.glob("workspaces/images/*.json")
    record.write_text(damage)
    (code / "new.py").touch()
    assert {"new.py", "lib/a.py"} <= files_in(build(code)).keys()


def test_an_earlier_image_that_was_removed_is_not_built_upon(
    build: Build, files_in: FilesIn, code: Path, engine: DockerClient, base: str
) -> None:
    engine.images.remove(build(code), force=True)
    (code / "new.py").touch()
    assert {"new.py", "lib/a.py"} <= files_in(build(code)).keys()


def test_a_new_base_image_gives_a_new_image(
    build: Build, code: Path, base: str, engine: DockerClient, files_in: FilesIn
) -> None:
    first = build(code)
    (code.parent / "other").mkdir()
    (code.parent / "other" / "more").touch()
    other = build(code.parent / "other")
    repo, _, tag = base.partition(":")
    engine.images.get(other).tag(repo, tag=tag)
    second = build(code)
    assert second != first
    assert files_in(second).keys() - files_in(first).keys() == {"more"}


def test_several_projects_become_one_image(
    engine: DockerClient, base: str, code: Path, files_in: FilesIn, torchx_home: Path
) -> None:
    other = code.parent / "other"
    (other / "data").mkdir(parents=True)
    (other / "data" / "x").touch()
    (other / "b.py").touch()
    (other / ".dockerignore").write_text("data\n")
    workspace = Workspace({str(code): "", str(other): "sub", str(code / "main.py"): "sub/m.py"})
    role = Role(name="r", image=base, workspace=workspace)
    DockerWorkspaceMixin(docker_client=engine).build_workspaces([role], {})
    found = files_in(role.image)
    assert {path for path in found if path.startswith("sub/")} == {
        *("sub/b.py", "sub/.dockerignore", "sub/m.py")
    }


def test_the_own_dockerfile_of_a_workspace_is_used_with_its_arguments(
    build: Build, files_in: FilesIn, code: Path, builds: list[int], engine: DockerClient
) -> None:
    (code / "Dockerfile.torchx").write_text(
        "ARG IMAGE\nFROM $IMAGE\nARG WORKSPACE\nLABEL from=$WORKSPACE\nCOPY main.py /app/\n"
    )
    image = build(code)
    assert files_in(image).keys() == {"base", "app/main.py"}
    assert engine.images.get(image).labels["from"] == str(code)
    (code / "lib" / "a.py").write_text("A = 2\n")
    build(code)
    assert len(builds) == 2


def test_a_workspace_may_lie_in_memory(
    engine: DockerClient, base: str, files_in: FilesIn, torchx_home: Path, builds: list[int]
) -> None:
    fsspec.filesystem("memory").pipe({"/real/a.py": b"1", "/real/d/b": b"22"})
    mixin = DockerWorkspaceMixin(docker_client=engine)
    for _ in range(2):
        role = Role(name="r", image=base)
        mixin.build_workspace_and_update_role(role, "memory://real", {})
    assert {"a.py", "d/b"} <= files_in(role.image).keys()
    assert len(builds) == 1


def test_a_failing_build_tells_what_it_printed(
    build: Build, code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (code / "Dockerfile.torchx").write_text("ARG IMAGE\nFROM $IMAGE\nCOPY nothing-here .\n")
    with pytest.raises(BuildError, match="nothing-here") as caught:
        build(code, quiet=True)
    assert isinstance(caught.value, TorchXError)
    assert "Step 3/" in str(caught.value)
    assert "Dockerfile.torchx" in caught.value.hint
    assert not any(record.message.startswith("Step") for record in caplog.records)


def test_the_output_of_a_build_is_logged_unless_it_is_to_be_quiet(
    build: Build, code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "torchx.workspace.docker_workspace")
    build(code)
    assert any(record.message.startswith("Step 1/") for record in caplog.records)


def test_a_base_image_that_does_not_exist_is_named(
    engine: DockerClient, code: Path, torchx_home: Path
) -> None:
    role = Role(
        name="r", image="torchx-test-workspace/none:1", workspace=Workspace({str(code): ""})
    )
    with pytest.raises(TorchXError, match="torchx-test-workspace/none"):
        DockerWorkspaceMixin(docker_client=engine).build_workspaces([role], {})


def test_a_build_is_remembered_under_a_name_that_pruning_respects(
    build: Build, code: Path, engine: DockerClient
) -> None:
    (tag,) = engine.images.get(build(code)).tags
    assert tag.startswith(f"{WORKSPACE_REPO}:")


def test_a_preview_tells_what_would_be_sent_and_builds_nothing(
    build: Build, engine: DockerClient, base: str, code: Path, builds: list[int]
) -> None:
    mixin = DockerWorkspaceMixin(docker_client=engine)

    def preview() -> tuple[list[object], str]:
        role = Role(name="r", image=base, workspace=Workspace({str(code): ""}))
        previews = mixin.preview_workspaces([role], {})
        assert previews is not None
        return [(each.files, each.sent_files, each.largest) for each in previews], role.image

    (first,), image = preview()
    assert first == (
        4,
        4,
        [("lib/big.py", 6000), ("main.py", 12), ("run.sh", 10), ("lib/a.py", 6)],
    )
    assert image.startswith("sha256:to-be-built-")
    assert builds == []
    built = build(code)
    assert preview() == ([(4, 0, [])], built)
    (code / "main.py").write_text("print('ho')\n")
    (second,), image = preview()
    assert second == (4, 1, [("main.py", 12)])
    assert len(builds) == 1


def test_images_that_are_not_used_any_more_are_pruned(
    build: Build, engine: DockerClient, code: Path, torchx_home: Path
) -> None:
    def pruned() -> set[str]:
        nobody_else_has_any_that_old = timedelta(days=-1)
        found = prune_workspaces(nobody_else_has_any_that_old, dryrun=True)
        return {leftover.name for leftover in found if leftover.kind == "image"}

    image = build(code)
    (tag,) = engine.images.get(image).tags
    assert tag in pruned()
    container = engine.containers.create(image, command="none")
    assert tag not in pruned()
    container.remove()
    (record,) = torchx_home.glob("workspaces/images/*.json")
    tomorrow_s = time.time() + 200_000
    os.utime(record, (tomorrow_s, tomorrow_s))
    assert tag not in pruned()
