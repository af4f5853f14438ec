from __future__ import annotations

import pytest

from torchx.plugins import (
    EIGHTH,
    HALF,
    QUARTER,
    SIXTEENTH,
    WHOLE,
    halve_mem_down_to,
    powers_of_two_gpus,
)
from torchx.specs import Resource


def gpus(count: int) -> Resource:
    return Resource(cpu=1, gpu=count, memMB=1)


def memory(memory_mib: int) -> Resource:
    return Resource(cpu=1, gpu=0, memMB=memory_mib)


def test_the_constants() -> None:
    assert [WHOLE, HALF, QUARTER, EIGHTH, SIXTEENTH] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]


def test_gpus_are_halved_down_to_one() -> None:
    assert powers_of_two_gpus(gpus(8)) == {1.0: "8", 0.5: "4", 0.25: "2", 0.125: "1"}
    assert powers_of_two_gpus(gpus(2)) == {1.0: "2", 0.5: "1"}
    assert powers_of_two_gpus(gpus(1)) == {1.0: "1"}


@pytest.mark.parametrize("count", [0, -1, -2, 3, 6])
def test_other_numbers_of_gpus_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"power of two, not {count}"):
        powers_of_two_gpus(gpus(count))


@pytest.mark.parametrize(
    ("gib", "least", "parts"), [(64, 8, [64, 32, 16, 8]), (96, 3, [96, 48, 24, 12, 6, 3])]
)
def test_memory_is_halved_while_enough_is_left(gib: int, least: int, parts: list[int]) -> None:
    expected = {part / gib: str(part) for part in parts}
    assert halve_mem_down_to(minGiB=least)(memory(gib * 1024)) == expected


@pytest.mark.parametrize(
    ("mib", "least", "message"),
    [
        (0, 1, "not 0 MB"),
        (-1024, 1, "not -1024 MB"),
        (1500, 1, "not 1500 MB"),
        (96 * 1024, 2, "3 is odd"),
        (4 * 1024, 0, "1 is odd"),
    ],
)
def test_memory_that_cannot_be_halved_so_is_refused(mib: int, least: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        halve_mem_down_to(minGiB=least)(memory(mib))
