from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.schedulers.kubernetes.expansion_rules import expand
from torchx.schedulers.kubernetes.expansion import SLOT, literal

ENV = {"A": "1", "B_2": "$(A)", "ls -l": "x", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
PIECES = st.sampled_from(["$", "(", ")", "A", "B_2", "ls -l", "é", "$(A)", "$$", " ", "\n", "{"])
TEXTS = st.one_of(st.lists(PIECES).map("".join), st.text())


@given(TEXTS)
def test_text_arrives_as_it_was_written(text: str) -> None:
    assert expand(literal(text, ENV), ENV) == text


@given(st.lists(TEXTS, min_size=2, max_size=3), st.sampled_from(["7", "$(JOB_COMPLETION_INDEX)"]))
def test_text_around_the_number_of_a_replica_arrives_too(parts: list[str], put_in: str) -> None:
    env = {**ENV, "JOB_COMPLETION_INDEX": "7"}
    sent = literal(SLOT.join(parts), ENV).replace(SLOT, put_in)
    assert expand(sent, env) == "7".join(parts)


@pytest.mark.parametrize("text", ["${A}", "$A", "$5", "$(ls)$(", "`$(echo a b)`", "a$", "$ (A)"])
def test_what_is_safe_is_not_touched(text: str) -> None:
    assert literal(text.replace("$(ls)", ""), {}) == text.replace("$(ls)", "")


def test_a_variable_that_only_kubernetes_knows_may_be_referred_to() -> None:
    assert literal("$(NODE) $(A)", ["NODE", "A"], references=["NODE"]) == "$(NODE) $$(A)"
