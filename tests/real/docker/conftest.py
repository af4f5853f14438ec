from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.docker.engine import need_engine, own_session
from tests.real.docker.jobs import Jobs


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Submits to the common engine, and deletes what was submitted."""
    need_engine()
    jobs = Jobs(own_session())
    yield jobs
    jobs.close()
