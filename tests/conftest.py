from __future__ import annotations

import hypothesis
import pytest

from torchx.util import redact

# A busy machine must not fail a test.
hypothesis.settings.register_profile("torchx", deadline=None)
hypothesis.settings.load_profile("torchx")


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of one test must not be hidden in the output of another one."""
    monkeypatch.setattr(redact._Remembered, "names", {})
    monkeypatch.setattr(redact._Remembered, "values", {})
    monkeypatch.setattr(redact._Remembered, "spellings", ())
