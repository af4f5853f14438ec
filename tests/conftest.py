from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from torchx.util import redact

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
