from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.local import layout
from torchx.schedulers.local.request import app_id_stem
from torchx.specs.api import make_app_handle, parse_app_handle


@given(st.text())
def test_any_name_becomes_one_directory_entry(name: str) -> None:
    component = layout.path_component(name)
    assert component not in ("", ".", "..")
    assert "/" not in component
    assert "\0" not in component
    assert len(os.fsencode(component)) < 255


@given(st.text(alphabet="a/%2F.", max_size=6), st.text(alphabet="a/%2F.", max_size=6))
def test_two_names_never_share_a_directory(one: str, other: str) -> None:
    assert (layout.path_component(one) == layout.path_component(other)) == (one == other)


@pytest.mark.parametrize("name", ["trainer", "my role", "a'; echo foo", "ä漢", "a.b-c_d"])
def test_harmless_names_stay_as_they_are(name: str) -> None:
    assert layout.path_component(name) == name


def test_long_names_that_differ_late_stay_apart() -> None:
    one, other = (layout.path_component("x" * 100_000 + end) for end in "ab")
    assert one != other


@given(st.text())
def test_an_app_of_any_name_has_a_valid_handle(name: str) -> None:
    handle = make_app_handle("local_cwd", "session", f"{app_id_stem(name)}-id")
    assert parse_app_handle(handle).app_id == f"{app_id_stem(name)}-id"


def test_state_is_kept_in_private_directories(home: Path) -> None:
    directory = Path(layout.make_state_dir("app"))
    assert directory == home / "local" / "app"
    assert [path.stat().st_mode & 0o777 for path in (directory, home / "local")] == [0o700] * 2
    with pytest.raises(FileExistsError):
        layout.make_state_dir("app")


def test_a_fallback_directory_that_others_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    shared = tmp_path / f"torchx-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(PermissionError, match="TORCHX_HOME"):
        layout.make_state_dir("app")
    assert layout.find_state_dir("app") is None
