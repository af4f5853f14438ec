from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from unittest.mock import patch

import pytest

from torchx.util import entrypoints

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution that only consists of entry points."""

    def install_one(text: str, name: str = "demo") -> None:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(text)
        monkeypatch.syspath_prepend(site)

    return install_one


def test_load(install: Install) -> None:
    install("[demo.group]\njoin = os.path:join\n")
    import os

    assert entrypoints.load("demo.group", "join") is os.path.join


def test_a_missing_entry_point_is_named_unless_there_is_a_default() -> None:
    with pytest.raises(KeyError, match=r"entrypoint no\.group\.x not found"):
        entrypoints.load("no.group", "x")
    assert entrypoints.load("no.group", "x", None) is None
    assert entrypoints.load("no.group", "x", 3) == 3


def test_load_group_defers_the_import(install: Install) -> None:
    install(
        "[demo.group]\n"
        "module = os.path\n"
        "attribute = os.path:join\n"
        "no_module = demo_missing_module\n"
        "no_attribute = os.path:missing\n"
    )
    import os

    group = entrypoints.load_group("demo.group")
    assert group["module"]("ignored") is os.path
    assert group["attribute"]("a", "b") == os.path.join("a", "b")
    with pytest.raises(ModuleNotFoundError):
        group["no_module"]()
    with pytest.raises(AttributeError):
        group["no_attribute"]()


def test_an_empty_group() -> None:
    assert entrypoints.load_group("no.group") == {}
    assert entrypoints.load_group("no.group", default={"a": 1}) == {"a": 1}
    assert entrypoints.load_group("no.group", default=None) is None


def test_a_distribution_installed_later_is_seen(install: Install) -> None:
    assert entrypoints.load_group("demo.group") == {}
    install("[demo.group]\na = os\n", "first")
    assert list(entrypoints.load_group("demo.group")) == ["a"]
    install("[demo.group]\nb = os\n", "second")
    assert sorted(entrypoints.load_group("demo.group")) == ["a", "b"]


def test_the_first_of_equal_names_wins_and_the_other_is_reported(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("[demo.group]\na = os:getpid\n", "hidden")
    install("[demo.group]\na = os:getcwd\n", "winner")
    import os

    with caplog.at_level(logging.WARNING):
        assert entrypoints.load("demo.group", "a") is os.getcwd
    assert "os:getpid is ignored" in caplog.text


def test_a_distribution_that_cannot_be_read_does_not_hide_the_others(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("[demo.group]\na = os:getcwd\n", "good")
    install("[demo.group]\nthis is no entry point\n", "garbled")
    assert list(entrypoints.load_group("demo.group")) == ["a"]
    assert "the entry points of garbled cannot be read: " in caplog.text
    assert list(entrypoints.unreadable()) == ["garbled"]


def test_a_patched_scan_is_noticed_although_scans_are_cached(install: Install) -> None:
    install("[demo.group]\na = os\n")
    assert list(entrypoints.load_group("demo.group")) == ["a"]
    fake = metadata.EntryPoints([metadata.EntryPoint("b", "sys", "demo.group")])
    with patch("torchx.util.entrypoints.metadata.entry_points", return_value=fake):
        assert list(entrypoints.load_group("demo.group")) == ["b"]
    assert list(entrypoints.load_group("demo.group")) == ["a"]


def test_without_plugins_the_slow_library_is_never_imported() -> None:
    code = (
        "import sys; from torchx.util import entrypoints;"
        "entrypoints.load_group('demo.group.of.nobody');"
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
