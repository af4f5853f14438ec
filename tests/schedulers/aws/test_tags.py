"""Metadata as tags."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.aws.service_model import find_faults
from torchx.schedulers.aws.tags import make_tags

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"
TEXTS = st.text(max_size=300)
METADATA = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=80,
)


def test_nested_metadata_is_flattened() -> None:
    metadata = {"team": {"name": "x", "ids": [1, True, None]}, "FIZZ": "buzz"}
    assert make_tags({"own": "1"}, metadata) == {
        "own": "1",
        "team.name": "x",
        "team.ids.0": "1",
        "team.ids.1": "true",
        "FIZZ": "buzz",
    }


def test_metadata_may_give_own_tags_another_value() -> None:
    assert make_tags({"user": "ann"}, {"user": "ben"}) == {"user": "ben"}


def test_secrets_do_not_become_tags() -> None:
    assert "hunter2secret" not in str(make_tags({}, {"db": {"password": "hunter2secret"}}))


def test_what_is_left_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tags = make_tags({"own": "1"}, {"aws:x": "y", **{f"k{n}": "v" for n in range(60)}})
    assert len(tags) == 50
    assert "aws:x" in caplog.text
    assert "12 metadata" in caplog.text


def test_there_may_be_no_metadata() -> None:
    assert make_tags({"own": "1"}, None) == {"own": "1"}


@given(st.dictionaries(TEXTS, METADATA, max_size=60))
def test_tags_of_any_metadata_are_accepted_by_both_services(metadata: dict[str, Any]) -> None:
    tags = make_tags({"torchx.pytorch.org/version": "1"}, metadata)
    assert find_faults("batch", "TagResource", {"resourceArn": "a", "tags": tags}) == []
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    assert find_faults("sagemaker", "AddTags", {"ResourceArn": ARN, "Tags": listed}) == []
