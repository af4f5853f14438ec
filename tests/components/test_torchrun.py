"""The size of a job and the name of its role."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from torchx.components.torchrun import get_role_name, parse_nnodes


@pytest.mark.parametrize(
    ("j", "parsed"),
    [
        ("2", (1, 1, 2, "1")),
        ("1x2", (1, 1, 2, "1")),
        ("2x4", (2, 2, 4, "2")),
        ("1:2x3", (1, 2, 3, "1:2")),
        ("0:1x8", (0, 1, 8, "0:1")),
    ],
)
def test_valid_sizes(j: str, parsed: tuple[int, int, int, str]) -> None:
    assert parse_nnodes(j) == parsed


@pytest.mark.parametrize(
    "j",
    ["", "1x", "x2", ":3", ":2x1", "1x2:3", "2x3x4", "1:2", "a", "-1x2", " 1x2", "1x2\n", "٢x٢"],
)
def test_other_forms_are_refused_with_the_valid_ones(j: str) -> None:
    _assert_refused(j)


@pytest.mark.parametrize("j", ["0", "0x0", "0x1", "1x0", "0:0x1", "3:2x1"])
def test_sizes_that_start_nothing_are_refused(j: str) -> None:
    _assert_refused(j)


def _assert_refused(j: str) -> None:
    with pytest.raises(ValueError, match="^Invalid format for -j: " + re.escape(repr(j))) as error:
        parse_nnodes(j)
    assert "{nnodes}x{nproc_per_node}" in str(error.value)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_parts_come_back(least: int, most: int, nproc: int) -> None:
    assume(least <= most)
    assert parse_nnodes(f"{least}:{most}x{nproc}") == (least, most, nproc, f"{least}:{most}")


def test_role_names() -> None:
    assert get_role_name("a/b.tar.py", None) == "b.tar"
    assert get_role_name(None, "a.b.c") == "c"
    with pytest.raises(ValueError, match="a role needs a program"):
        get_role_name(None, None)
