from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from torchx.plugins import registry
from torchx.util import redact

# Shells start programs in the background with Ctrl-C ignored, and these hand that on to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine must not fail a test.
hypothesis.settings.register_profile("torchx", deadline=None)
hypothesis.settings.load_profile("torchx")


@pytest.fixture(autouse=True)
def torchx_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the jobs of a test apart from those of whoever runs it."""
    home = tmp_path_factory.mktemp("torchx-home")
    monkeypatch.setenv("TORCHX_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of one test must not be hidden in the output of another one."""
    monkeypatch.setattr(redact._Remembered, "names", {})
    monkeypatch.setattr(redact._Remembered, "values", {})
    monkeypatch.setattr(redact._Remembered, "spellings", ())


@pytest.fixture(autouse=True)
def plugins_are_searched_for_anew() -> None:
    registry.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Puts distributions on ``sys.path``: ``install({path: text}, name=, entry_points=)``."""

    def install_one(
        files: Mapping[str, str], name: str = "demo", entry_points: str = "", version: str = "1.0"
    ) -> Path:
        site = tmp_path / f"site-{name}"
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        contents = {
            **files,
            f"{info}/METADATA": metadata,
            f"{info}/entry_points.txt": entry_points,
            f"{info}/RECORD": "".join(f"{path},,\n" for path in files),
        }
        for path, text in contents.items():
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        return site

    yield install_one
    for module in list(sys.modules):
        file = getattr(sys.modules[module], "__file__", None) or ""
        if module.partition(".")[0] == "torchx_plugins" or file.startswith(str(tmp_path)):
            del sys.modules[module]
