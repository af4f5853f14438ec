from __future__ import annotations

import os
import random

import pytest

from torchx.schedulers.ids import END_CANDIDATES, START_CANDIDATES, make_unique, random_id


@pytest.fixture
def _known_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(size)))


@pytest.mark.usefixtures("_known_bytes")
def test_ids_follow_from_the_random_bytes_as_published() -> None:
    assert random_id() == "fzfjxlmln9"
    assert random_id(max_length=6) == "fzfjxl"
    assert random_id(max_length=0) == random_id(max_length=-1) == ""
    assert make_unique("test") == "test-fzfjxlmln9"


def test_an_id_is_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    assert random_id() == START_CANDIDATES[0]


def test_ids_differ_whatever_the_seed() -> None:
    random.seed(1)
    first = make_unique("test", 6)
    random.seed(1)
    assert make_unique("test", 6) != first


def test_ids_are_legal_names_of_bounded_length() -> None:
    for length in range(1, 20):
        name, _, suffix = make_unique("test", length).partition("-")
        assert name == "test"
        assert len(suffix) <= length
        assert suffix[0] in START_CANDIDATES
        assert set(suffix) <= set(END_CANDIDATES)
