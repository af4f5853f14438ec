from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A busy machine must not fail a test.
hypothesis.settings.register_profile("torchx", deadline=None)
hypothesis.settings.load_profile("torchx")


@pytest.fixture(autouse=True)
def torchx_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the jobs of a test apart from those of whoever runs it."""
    home = tmp_path_factory.mktemp("torchx-home")
    monkeypatch.setenv("TORCHX_HOME", str(home))
    return home
