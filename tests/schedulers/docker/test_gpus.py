from __future__ import annotations

import pytest

from torchx.schedulers.docker.gpus import divide
from torchx.schedulers.docker.request import DockerContainer, DockerJob
from torchx.schedulers.docker.submission import Machine, complete


def container(count: int, capabilities: list[list[str]] | None = None) -> DockerContainer:
    request = {"Count": count, "DeviceIDs": [], "Capabilities": capabilities or [["compute"]]}
    return DockerContainer("image", [], {"device_requests": [request], "labels": {}})


@pytest.mark.parametrize(
    ("counts", "held", "total", "given"),
    [
        ([1, 1, 2], [], 8, [[0], [1], [2, 3]]),
        ([1, 0, 1], [], 8, [[0], [], [1]]),
        ([2, 1], [0, 2], 8, [[1, 3], [4]]),
        ([2, 2], [0], 4, [[0, 1], [2, 3]]),
        ([2, 2], [0], None, [[0, 1], [2, 3]]),
        ([], [0], 4, []),
    ],
    ids=["all", "not all want some", "some held", "too many held", "unknown number", "none"],
)
def test_gpus_are_divided(
    counts: list[int], held: list[int], total: int | None, given: list[list[int]]
) -> None:
    assert divide(counts, held, total) == given


def test_a_container_is_given_its_gpus_by_number_and_label() -> None:
    job = DockerJob("app", [container(2), container(1)])
    done = complete(job, machine=Machine(gpu_count=4, held_gpus=[0]))
    assert [item.kwargs["device_requests"] for item in done] == [
        [{"Count": 0, "DeviceIDs": ids, "Capabilities": [["gpu", "utility", "compute"]]}]
        for ids in (["1", "2"], ["3"])
    ]
    labels = [item.kwargs["labels"] for item in done]
    assert labels == [{"torchx.pytorch.org/gpus": "1,2"}, {"torchx.pytorch.org/gpus": "3"}]
    assert job == DockerJob("app", [container(2), container(1)])


def test_a_container_that_wants_all_or_names_its_own_is_left_alone() -> None:
    everything = container(-1)
    (done,) = complete(DockerJob("app", [everything]))
    assert done.kwargs["device_requests"] == everything.kwargs["device_requests"]
