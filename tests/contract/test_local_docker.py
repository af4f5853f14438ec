"""The conformance suite on the scheduler ``local_docker``, with a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.docker.engine import IMAGE, SESSION_VARIABLE, need_engine, own_session
from torchx.specs import AppState, BindMount
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.logs import WRITE_BYTES

MISSING = {
    Capability.CANCEL_PENDING: "an engine starts containers at once or refuses them",
    Capability.RETRY_APPLICATION: "an engine restarts only the container that failed",
    Capability.RETRY_ROLE: "an engine restarts only the container that failed",
}


class DockerHarness(SchedulerHarness):
    """Other tests use the same engine at the same time: only this test's apps are listed."""

    def listed(self) -> dict[str, str]:
        prefix = f"{self.scheduler}://{self.session().name()}/"
        return {
            handle: state for handle, state in super().listed().items() if handle.startswith(prefix)
        }


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerHarness]:
    need_engine()
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    monkeypatch.setenv(SESSION_VARIABLE, own_session())
    with DockerHarness(
        "local_docker",
        missing=MISSING,
        runner="tests.real.docker.engine:make_runner",
        image=IMAGE,
        python="python3",
        shared_dir=place / "shared",
        shared_dir_in_job="/contract-shared",
        shared_mounts=[BindMount(src_path=str(place / "shared"), dst_path="/contract-shared")],
        # The engine notes when a line reached it, which takes a moment on a busy machine.
        log_time_resolution_s=0.5,
    ) as harness:
        yield harness


class TestLocalDocker(SchedulerContract):
    def test_binary_garbage_does_no_harm(self, harness: SchedulerHarness) -> None:
        # The engine keeps logs as text, and puts a U+FFFD of its own for each byte that is none.
        garbage = bytes(range(256)) + b"\xc5\xd8\n\xf0\x9f\n" + bytes(reversed(range(256)))
        job = harness.launch(harness.role(WRITE_BYTES, garbage.hex()))
        assert job.wait().state == AppState.SUCCEEDED
        escaped = garbage.decode("utf-8", "surrogateescape")
        text = "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in escaped)
        assert "".join(job.log()) == text
