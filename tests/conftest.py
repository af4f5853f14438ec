from __future__ import annotations

import hypothesis
import pytest

from torchx.plugins import registry

# A busy machine must not fail a test.
hypothesis.settings.register_profile("torchx", deadline=None)
hypothesis.settings.load_profile("torchx")


@pytest.fixture(autouse=True)
def plugins_are_searched_for_anew() -> None:
    registry.cache_clear()
