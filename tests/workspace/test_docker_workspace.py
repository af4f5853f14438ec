"""What plugins and older tests see of the mix-in. Real builds are in tests/real/workspace."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import MagicMock, patch

import fsspec
import pytest

import torchx
from torchx.schedulers.abilities import PreviewsWorkspaces
from torchx.specs.api import AppDef, CfgVal, Role, Workspace
from torchx.workspace.docker_workspace import (
    DEFAULT_DOCKERFILE,
    TORCHX_DOCKERFILE,
    BuildError,
    DockerWorkspaceMixin,
    _build_context,
    _copy_to_tarfile,
)
from torchx.workspace.manifest import content_of
from torchx.workspace.tree import WorkspaceError

LOG = "torchx.workspace.docker_workspace.log"


def names_in_context(root: Path | str) -> list[str]:
    with _build_context("img", str(root)) as context, tarfile.open(fileobj=context) as archive:
        return archive.getnames()


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def engine(*events: dict[str, object]) -> MagicMock:
    """A client whose builds report what the test says."""
    client = MagicMock()
    client.api.build.return_value = iter(events)
    return client


def test_the_context_holds_the_files_that_are_not_ignored(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("ignoredir/bar", "ignoredir/recursive/bar", "dir1/bar", "ignorefile", "dir/file"),
        *("dir/ignorefileglob1", "dir/recursive/ignorefileglob2", "dir/ignorefile", "foo.sh"),
        *("ignorefilesuffix", "unignore"),
    )
    (tmp_path / ".dockerignore").write_text(
        "# comment\nignoredir\nignorefile  # another\n\n*/ignorefileglo*1\n"
        "**/ignorefileglob2\ndir?\nunignore\n!unignore\n.\n"
    )
    assert set(names_in_context(tmp_path)) == {
        *("Dockerfile.torchx", "foo.sh", ".dockerignore", "dir/ignorefile", "ignorefilesuffix"),
        *("dir/file", "unignore"),
    }


def test_everything_can_be_ignored_but_some_and_the_own_dockerfile(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("timm_app.py", "bigfile", "some_dir/a", "some_dir/b", "some_dir/ignore1"),
        *("some_dir/ignore2", "some_dir/subdir/a", "some_dir/subdir/b", "some_dir/subdir/ignore3"),
    )
    (tmp_path / "Dockerfile.torchx").touch()
    (tmp_path / ".dockerignore").write_text(
        "*\n!timm_app.py\n**/a\n!some_dir\n**/ignore1\nsome_dir/ignore2\nsome_dir/subdir/ignore3\n"
    )
    with (
        _build_context("img", str(tmp_path)) as context,
        tarfile.open(fileobj=context) as archive,
    ):
        assert archive.getmember("Dockerfile.torchx").size == 0
        assert set(archive.getnames()) == {
            *("Dockerfile.torchx", "timm_app.py", "some_dir/a", "some_dir/b"),
            *("some_dir/subdir/a", "some_dir/subdir/b"),
        }


def test_members_have_modes_but_neither_owners_nor_times(code: Path) -> None:
    with _build_context("img", str(code)) as context, tarfile.open(fileobj=context) as archive:
        members = {member.name: member for member in archive.getmembers()}
        dockerfile = archive.extractfile(TORCHX_DOCKERFILE)
        assert dockerfile is not None
        assert dockerfile.read() == DEFAULT_DOCKERFILE
    assert (members["run.sh"].mode, members["main.py"].mode) == (0o755, 0o644)
    assert {(member.mtime, member.uid, member.gid) for member in members.values()} == {(0, 0, 0)}


def test_equal_code_is_packed_into_equal_bytes(code: Path, tmp_path: Path) -> None:
    with _build_context("img", str(code)) as context:
        first = context.read()
    code.rename(tmp_path / "elsewhere")
    with _build_context("img", str(tmp_path / "elsewhere")) as context:
        assert context.read() == first


def test_a_workspace_in_memory_is_packed_into_an_archive_of_the_caller() -> None:
    fsspec.filesystem("memory").pipe({"/packed/a.py": b"12", "/packed/d/b": b""})
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as archive:
        _copy_to_tarfile("memory://packed", archive)
        assert {member.name: member.size for member in archive.getmembers()} == {
            "a.py": 2,
            "d/b": 0,
        }


def test_a_quiet_build_logs_two_lines() -> None:
    client = engine({"stream": "Step 1\n"}, {"aux": {"ID": "sha256:new"}})
    role = Role(name="r", image="img")
    with patch(LOG) as log:
        DockerWorkspaceMixin(docker_client=client).build_workspace_and_update_role(
            role, "bogus", {"quiet": True}
        )
    assert log.info.call_count == 2
    assert client.api.build.call_count == 1
    assert role.image == "sha256:new"


def test_a_failing_build_logs_what_it_printed_and_raises() -> None:
    client = engine({"stream": "Step 1\n"}, {"stream": "\n"}, {"error": "no space"})
    with patch(LOG) as log, pytest.raises(BuildError, match="no space"):
        DockerWorkspaceMixin(docker_client=client).build_workspaces(
            [Role(name="r", image="img", workspace=Workspace({"bogus": ""}))], {}
        )
    assert log.info.call_count == 3
    assert log.info.call_args.args[0] == "Step 1"


def test_a_build_is_asked_for_as_published(code: Path) -> None:
    client = engine({"aux": {"ID": "0123456789abcdef" * 4}})
    role = Role(name="r", image="img:1", workspace=Workspace({str(code): ""}))
    DockerWorkspaceMixin(docker_client=client).build_workspaces([role], {})
    client.images.pull.assert_called_once_with("img:1")
    kwargs = client.api.build.call_args.kwargs
    assert kwargs["buildargs"] == {"IMAGE": "img:1", "WORKSPACE": str(code)}
    assert kwargs["labels"][DockerWorkspaceMixin.LABEL_VERSION] == torchx.__version__
    assert (kwargs["custom_context"], kwargs["rm"], kwargs["pull"]) == (True, True, False)
    assert kwargs["dockerfile"] == "Dockerfile.torchx"
    assert kwargs["fileobj"].closed
    assert role.image == "sha256:" + "0123456789abcdef" * 4


def test_a_build_without_an_image_is_an_error() -> None:
    with pytest.raises(AssertionError, match="without an id"):
        DockerWorkspaceMixin(docker_client=engine()).build_workspace_and_update_role(
            Role(name="r", image="img"), "bogus", {}
        )


def test_a_new_build_replaces_an_image_that_the_role_had_from_an_earlier_one() -> None:
    client = engine({"aux": {"ID": "sha256:new_build"}})
    client.images.list.return_value = [MagicMock(id="sha256:old_build")]
    role = Role(name="r", image="sha256:old_build")
    DockerWorkspaceMixin(docker_client=client).build_workspace_and_update_role(
        role, "bogus", {"image_repo": "example.com/repo"}
    )
    assert role.image == "sha256:new_build"
    client.images.pull.assert_not_called()


def test_a_file_that_changes_while_it_is_packed_is_packed_as_it_is_then(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchx.workspace import context

    changes = iter([True, False])

    def changing(*args: object) -> object:
        if next(changes, False):
            (code / "lib" / "a.py").write_text("A = 2\n")
        return content_of(*args)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(context, "content_of", changing)
    packed: list[bytes] = []

    def build(fileobj: io.FileIO, **kwargs: object) -> list[dict[str, object]]:
        with tarfile.open(fileobj=fileobj) as archive:
            member = archive.extractfile("lib/a.py")
            assert member is not None
            packed.append(member.read())
        return [{"aux": {"ID": "sha256:x"}}]

    client = MagicMock()
    client.api.build.side_effect = build
    role = Role(name="r", image="img", workspace=Workspace({str(code): ""}))
    DockerWorkspaceMixin(docker_client=client).build_workspaces([role], {})
    assert packed == [b"A = 2\n"]


def test_the_options_are_the_repository_and_quiet() -> None:
    opts = DockerWorkspaceMixin().workspace_opts()
    assert {name for name, _ in opts} == {"image_repo", "quiet"}
    assert opts.resolve({}) == {"image_repo": None, "quiet": False}


def test_local_images_get_the_names_that_they_will_have() -> None:
    images = ["sha256:hasha", "sha256:hashb", "sha256:hasha", "python:3"]
    app = AppDef("a", [Role(name=f"r{i}", image=image) for i, image in enumerate(images)])
    mixin = DockerWorkspaceMixin()
    assert mixin.dryrun_push_images(app, {"image_repo": "example.com/repo"}) == {
        "sha256:hasha": ("example.com/repo", "hasha"),
        "sha256:hashb": ("example.com/repo", "hashb"),
    }
    assert [role.image for role in app.roles] == [
        *("example.com/repo:hasha", "example.com/repo:hashb", "example.com/repo:hasha"),
        "python:3",
    ]


def test_local_images_need_a_repository() -> None:
    app = AppDef("a", [Role(name="r", image="sha256:hasha")])
    with pytest.raises(KeyError, match="image_repo") as caught:
        DockerWorkspaceMixin().dryrun_push_images(app, {})
    assert isinstance(caught.value, WorkspaceError)
    plain = AppDef("a", [Role(name="r", image="python:3")])
    assert DockerWorkspaceMixin().dryrun_push_images(plain, {}) == {}


def test_nothing_is_built_that_could_not_be_pushed(code: Path) -> None:
    class Remote(DockerWorkspaceMixin):
        _pushes_images = True

    client = MagicMock()
    role = Role("trainer", image="base", workspace=Workspace.from_str(str(code)))
    with pytest.raises(KeyError, match=r"trainer.*image_repo"):
        Remote(docker_client=client).build_workspaces([Role("plain", image="base"), role], {})
    assert client.mock_calls == []
    assert role.image == "base"


def test_nothing_to_push_needs_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchx.util.docker_client.docker_client", lambda: pytest.fail("asked"))
    DockerWorkspaceMixin().push_images({})


def test_images_are_tagged_and_pushed() -> None:
    client = MagicMock()
    client.images.push.return_value = iter([{"status": "Pushed"}])
    DockerWorkspaceMixin(docker_client=client).push_images({"sha256:a": ("repo", "a")})
    client.images.get.assert_called_once_with("sha256:a")
    client.images.get.return_value.tag.assert_called_once_with("repo", tag="a")
    client.images.push.assert_called_once_with("repo", tag="a", stream=True, decode=True)


def test_a_client_is_made_when_it_is_needed_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = MagicMock(name="client")
    connect = MagicMock(return_value=made)
    monkeypatch.setattr("torchx.util.docker_client.docker_client", connect)
    mixin = DockerWorkspaceMixin()
    connect.assert_not_called()
    assert mixin._docker_client is made
    assert mixin._docker_client is made
    connect.assert_called_once()


def test_a_subclass_need_not_call_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(DockerWorkspaceMixin):
        def __init__(self) -> None:
            pass

    connect = MagicMock()
    monkeypatch.setattr("torchx.util.docker_client.docker_client", connect)
    assert Careless()._docker_client is connect.return_value


def test_a_subclass_with_the_older_hook_gets_merged_directories(code: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    class Older(DockerWorkspaceMixin):
        def build_workspace_and_update_role(
            self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
        ) -> None:
            seen.extend(sorted(path.name for path in Path(workspace).iterdir()))

    workspace = Workspace({str(code): "sub", str(code / "main.py"): "m.py"})
    role = Role(name="r", image="img", workspace=workspace)
    mixin = Older()
    mixin.build_workspaces([role], {})
    assert seen == ["m.py", "sub"]
    assert isinstance(mixin, PreviewsWorkspaces)
    assert mixin.preview_workspaces([role], {}) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_preview_needs_no_engine(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    roles = [
        Role(name=name, image="img", workspace=Workspace({str(code): ""})) for name in ("a", "b")
    ]
    roles.append(Role(name="c", image="other"))
    found = DockerWorkspaceMixin().preview_workspaces(roles, {})
    gc.collect()  # the `docker` package leaves a socket behind that it could not connect
    assert found is not None
    (preview,) = found
    assert (preview.roles, preview.files, preview.sent_files) == (["a", "b"], 3, 3)
    assert preview.digest is not None
    assert [role.image for role in roles] == [
        *[f"sha256:to-be-built-{preview.digest[:12]}"] * 2,
        "other",
    ]


def test_importing_the_module_does_not_import_docker() -> None:
    program = (
        "import sys, torchx.workspace.docker_workspace, torchx.workspace.dir_workspace;"
        "sys.exit('docker' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_that_do_not_exist_are_reported_as_usual() -> None:
    from torchx.workspace import docker_workspace

    with pytest.raises(AttributeError, match="nothing"):
        docker_workspace.nothing  # noqa: B018
