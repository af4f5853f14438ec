"""Names of jobs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.aws_sagemaker.names import job_name
from torchx.schedulers.aws_sagemaker.program import run_name
from torchx.schedulers.ids import make_unique
from torchx.specs import Role

LEGAL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@given(st.text())
def test_any_name_is_made_legal_and_stays_unique(name: str) -> None:
    unique = make_unique(name)
    legal = job_name(unique)
    assert LEGAL.fullmatch(legal)
    assert legal.endswith(unique.rpartition("-")[2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("my.run_1-x7", "my-run-1-x7"), ("x" * 99 + "-x7", "x" * 60 + "-x7"), ("-x7", "x7")],
)
def test_names(name: str, expected: str) -> None:
    assert job_name(name) == expected


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("exp/run", ["train.py"], "run"),
        ("/run", ["train.py"], "run"),
        ("name", ["train.py"], "name"),
        ("exp/", ["-m", "pkg.train"], "train"),
        ("", ["dir/train.py"], "train"),
    ],
)
def test_runs_are_called_after_what_they_run(name: str, args: list[str], expected: str) -> None:
    assert run_name(name, Role("role", "image", args=args)) == expected
    assert run_name("exp/", Role("role", "image", entrypoint="bash", args=args)) == "role"
