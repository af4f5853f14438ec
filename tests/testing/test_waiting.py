from __future__ import annotations

import pytest

from torchx.testing.waiting import eventually


def test_the_first_true_answer_is_returned() -> None:
    answers = iter([0, "", [7]])
    assert eventually(lambda: next(answers), "a list", timeout_s=10) == [7]


def test_a_deadline_names_what_was_waited_for() -> None:
    with pytest.raises(TimeoutError, match=r"the moon: not within 0.02 s"):
        eventually(lambda: False, "the moon", timeout_s=0.02)
