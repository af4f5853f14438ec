"""The conformance suite on the scheduler ``local_docker``, with a real engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.real.docker.engine import IMAGE, SESSION_VARIABLE, need_engine, own_session
from tests.real.docker.pushing import need_registry
from torchx.specs import AppState, BindMount, CfgVal, Role
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.delivery import DeliveryCases
from torchx.testing.cases.lifecycle import LifecycleCases
from torchx.testing.cases.logs import WRITE_BYTES
from torchx.testing.job import Job

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


class PushingHarness(DockerHarness):
    """Sends code along with every app, so that each has an image to push."""

    code: str

    def launch(
        self,
        *roles: Role,
        name: str = "contract",
        cfg: Mapping[str, CfgVal] | None = None,
        workspace: str | None = None,
    ) -> Job:
        return super().launch(*roles, name=name, cfg=cfg, workspace=workspace or self.code)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything happens in a place that a shell would trip over."""
    need_engine()
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    monkeypatch.setenv(SESSION_VARIABLE, own_session())
    return place


@pytest.fixture
def harness(place: Path) -> Iterator[DockerHarness]:
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


class TestLocalDockerThroughRegistry(LifecycleCases, DeliveryCases):
    """The cases again, with images that are pushed to a real registry and pulled from it."""

    @pytest.fixture
    def harness(self, place: Path) -> Iterator[PushingHarness]:
        (place / "code").mkdir()
        (place / "code" / "sent.txt").write_text("along")
        with PushingHarness(
            "local_docker",
            missing={
                **MISSING,
                Capability.SHARED_DIRECTORY: "images are what is tested",
                Capability.MOUNTS: "images are what is tested",
            },
            runner="tests.real.docker.pushing:make_runner",
            image=IMAGE,
            python="python3",
            cfg={"image_repo": need_registry()},
        ) as harness:
            harness.code = str(place / "code")
            yield harness
