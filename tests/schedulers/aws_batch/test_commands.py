"""Arguments and variables arrive as they are, with or without the shell in front of a program."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchx.schedulers.aws_batch.commands import literal_parameters, with_macros
from torchx.schedulers.aws_batch.resources import AppRefusedError
from torchx.specs import Resource, Role, macros

REPORT = """
import json, os, sys
json.dump([sys.argv[1:], {key: os.environ[key] for key in os.environ}], sys.stdout)
"""

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
PARTS = st.lists(st.one_of(TEXTS, st.just(macros.replica_id)), max_size=3).map("".join)
VARIABLES = st.from_regex(r"V[A-Z_0-9]{0,4}", fullmatch=True)


def role_of(args: list[str], env: dict[str, str], *, num_replicas: int = 3) -> Role:
    return Role(
        "job",
        "image",
        entrypoint=sys.executable,
        args=["-c", REPORT, *args],
        env=env,
        num_replicas=num_replicas,
        resource=Resource(1, 0, 1),
    )


def run_node(role: Role, index: int) -> tuple[list[str], dict[str, str]]:
    """Runs a role as the container of a node would, and tells what its program got.

    Args:
        role: The role, ready to be submitted.
        index: Number of the node.

    Returns:
        Arguments and environment.
    """
    # AWS Batch drops variables that are empty.
    env = {key: value for key, value in role.env.items() if value}
    ended = subprocess.run(
        [role.entrypoint, *role.args],
        env={**env, "AWS_BATCH_JOB_NODE_INDEX": str(index), "PYTHONUTF8": "1"},
        check=True,
        capture_output=True,
    )
    args, seen = json.loads(ended.stdout)
    return args, seen


def expected(text: str, replica: int) -> str:
    values = macros.Values(img_root="", app_id="name", replica_id=str(replica), rank0_env="R0")
    return values.substitute(text)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PARTS, max_size=3),
    st.dictionaries(VARIABLES, PARTS, max_size=3),
    st.sampled_from([0, 4]),
)
def test_words_and_variables_arrive_byte_for_byte(
    args: list[str], env: dict[str, str], start_idx: int
) -> None:
    role = with_macros(role_of(args, env), "name", start_idx)
    got, seen = run_node(role, start_idx + 2)
    assert got == [expected(arg, 2) for arg in args]
    assert {key: seen[key] for key in env} == {key: expected(env[key], 2) for key in env}


def test_a_program_that_does_not_ask_has_no_shell_in_front() -> None:
    role = with_macros(role_of(["$HOME", "x y"], {"A": "1"}), "name", 0)
    assert role.entrypoint == sys.executable
    assert role.args[-2:] == ["$HOME", "x y"]


def test_one_replica_needs_no_shell() -> None:
    role = role_of([macros.replica_id], {"K": macros.replica_id}, num_replicas=1)
    placed = with_macros(role, "name", 7)
    assert placed.entrypoint == sys.executable
    assert placed.args[-1] == "0"
    assert placed.env == {"K": "0"}


@pytest.mark.parametrize(
    ("start_idx", "number"),
    [(0, "$AWS_BATCH_JOB_NODE_INDEX"), (3, "$((AWS_BATCH_JOB_NODE_INDEX-3))")],
)
def test_a_shell_reads_the_number_by_itself(start_idx: int, number: str) -> None:
    role = Role("r", "i", entrypoint="bash", args=["-c", f"echo {macros.replica_id}"])
    role.num_replicas = 2
    placed = with_macros(role, "name", start_idx)
    assert [placed.entrypoint, *placed.args] == ["bash", "-c", f"echo {number}"]


def test_a_shell_with_empty_variables_still_reads_the_number() -> None:
    role = Role("r", "i", entrypoint="sh", num_replicas=2, env={"E": ""})
    role.args = ["-c", f'exec {sys.executable} -c "$0" {macros.replica_id}', REPORT]
    args, seen = run_node(with_macros(role, "name", 5), 6)
    assert args == ["1"]
    assert seen["E"] == ""


def test_variables_that_no_shell_can_set_are_refused() -> None:
    with pytest.raises(AppRefusedError, match="'a-b'"):
        with_macros(role_of([], {"a-b": macros.replica_id}), "name", 0)


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (["echo", "x"], {}),
        (["Ref::a", "x/Ref::b-1"], {"a": "Ref::a", "b-1": "Ref::b-1"}),
    ],
)
def test_references_to_parameters_stay_as_they_are(
    words: list[str], parameters: dict[str, Any]
) -> None:
    assert literal_parameters(words) == parameters
