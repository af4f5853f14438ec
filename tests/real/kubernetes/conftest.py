"""The real cluster that ``scripts/test-kubernetes`` names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.kubernetes.harness import SMALL, SMALL_REQUESTS, TOO_LARGE, KubernetesHarness
from torchx.specs import BindMount, CfgVal, VolumeMount
from torchx.testing import Capability

IN_JOB = "/contract-shared"


def given(name: str) -> str:
    """Returns an option of ``scripts/test-kubernetes``."""
    return os.environ.get(f"TORCHX_TEST_KUBERNETES_{name}", "")


def need(name: str, option: str) -> str:
    """Returns an option, or skips the test."""
    value = given(name)
    if not value:
        pytest.skip(f"needs a real cluster: scripts/test-kubernetes {option}")
    return value


@dataclass(frozen=True)
class Place:
    """A directory that tests and replicas share."""

    missing: Mapping[Capability, str]
    directory: Path | None = None
    in_job: str | None = None
    mounts: tuple[BindMount | VolumeMount, ...] = ()


def shared_place(tmp_path: Path) -> Place:
    """Makes the shared directory of a test, if the cluster offers one."""
    no_mounts = {Capability.MOUNTS: "no directory of a node is here (--shared-host-path)"}
    if given("SHARED_HOST_PATH"):
        directory = tmp_path / "shared"
        _make(directory)
        # Other directories of the test are mounted from the node as well.
        tmp_path.chmod(0o755)
        return Place({}, directory, IN_JOB, (BindMount(str(directory), IN_JOB),))
    if given("SHARED_PVC"):
        claim, _, root = given("SHARED_PVC").partition(":")
        directory = Path(root) / f"{tmp_path.name}-{os.getpid()}"
        _make(directory)
        mounts = (VolumeMount(claim, IN_JOB),)
        return Place(no_mounts, directory, f"{IN_JOB}/{directory.name}", mounts)
    reason = "no directory is shared (--shared-host-path or --shared-pvc)"
    return Place({Capability.SHARED_DIRECTORY: reason, **no_mounts})


@contextmanager
def open_harness(
    tmp_path: Path,
    missing: Mapping[Capability, str],
    cfg: Mapping[str, CfgVal],
    scheduler: str = "kubernetes",
    **fields: Any,
) -> Iterator[KubernetesHarness]:
    """Opens the harness of a test on the real cluster."""
    image, namespace = need("IMAGE", "--image IMAGE"), need("NAMESPACE", "--namespace NS")
    place = shared_place(tmp_path)
    if scheduler == "kubernetes":
        # The image may be one that was loaded into the nodes.
        cfg = {"image_pull_policy": "IfNotPresent", **cfg}
    no_builds = "images are built and pushed by the tests of Docker workspaces"
    with KubernetesHarness(
        scheduler,
        missing={Capability.WORKSPACE: no_builds, **missing, **place.missing},
        image=image,
        python="python3",
        cfg={"namespace": namespace, **SMALL_REQUESTS, **cfg},
        list_cfg={"namespace": namespace},
        resource=SMALL,
        held_resource=TOO_LARGE,
        shared_dir=place.directory,
        shared_dir_in_job=place.in_job,
        shared_mounts=place.mounts,
        timeout_s=float(given("TIMEOUT") or 240),
        # Nodes keep 10 MiB of a log at a time, and hand out no more than that.
        many_lines=100_000,
        # The node notes when a line reached it.
        log_time_resolution_s=0.5,
        unknown_app_id=f"{namespace}:does-not-exist",
        **fields,
    ) as harness:
        yield harness


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def _make(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)  # images run as any user
