from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from torchx.util.modules import import_attr, load_module


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "demo_broken.py").write_text("import demo_absent_dependency\n")
    (tmp_path / "demo_exits.py").write_text("import sys; sys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "demo_broken"


def test_load_module() -> None:
    assert load_module("os.path") is os.path
    assert load_module("os.path:join") is os.path.join


@pytest.mark.parametrize("path", ["", "demo_absent", "os.demo_absent", ":join"])
def test_absence_is_silent(path: str, caplog: pytest.LogCaptureFixture) -> None:
    assert load_module(path) is None
    assert caplog.text == ""


@pytest.mark.parametrize("path", ["os.path:missing", "os.path:join:extra"])
def test_a_missing_attribute_is_reported(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "torchx.util.modules"):
        assert load_module(path) is None
    assert path in caplog.text


def test_a_broken_module_is_reported(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "torchx.util.modules"):
        assert load_module(broken) is None
    assert broken in caplog.text
    assert "demo_absent_dependency" in caplog.text


def test_a_module_that_exits_does_not_end_the_process(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_module("demo_exits") is None
    assert "SystemExit" in caplog.text


def test_import_attr(broken: str) -> None:
    assert import_attr("os.path", "sep", "?") == os.path.sep
    assert import_attr("demo_absent.child", "x", 1) == 1
    with pytest.raises(AttributeError):
        import_attr("os.path", "missing", 1)
    with pytest.raises(ModuleNotFoundError, match="demo_absent_dependency"):
        import_attr(broken, "x", 1)
