"""Requests against the service models of the SDK."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.aws import service_model
from torchx.schedulers.aws.errors import AwsPackageMissing
from torchx.schedulers.aws.service_model import (
    AwsRequestError,
    check_request,
    check_request_if_possible,
    find_faults,
)

VALUES = st.recursive(
    st.one_of(st.text(max_size=5), st.integers(-5, 5), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["name", "value", "command", "image", "numNodes", "soft"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
MEMBERS = ["jobDefinitionName", "type", "tags", "containerProperties", "nodeProperties", "x"]


def test_all_faults_are_named_with_their_places() -> None:
    with pytest.raises(AwsRequestError) as caught:
        check_request(
            "batch",
            "RegisterJobDefinition",
            {
                "type": "pod",
                "retryStrategy": {"attempts": "3"},
                "containerProperties": {"environment": [{"nam": "A"}]},
                "tags": {"": "x" * 257},
            },
        )
    assert [fault.split("; known")[0] for fault in caught.value.faults] == [
        "jobDefinitionName is missing",
        "type is 'pod', must be one of container, multinode",
        "retryStrategy.attempts is '3' of type str, must be of type integer",
        "containerProperties.environment[0].nam is unknown",
        "the key '' of tags has 0 characters, must have at least 1",
        "tags[''] has 257 characters, must have at most 256",
    ]


@pytest.mark.parametrize(
    ("name", "is_right"), [("my-job", True), ("my_job", False), ("x" * 64, False), ("-x", False)]
)
def test_patterns_and_lengths_count(name: str, is_right: bool) -> None:
    request = {"TrainingJobName": name}
    assert (find_faults("sagemaker", "StopTrainingJob", request) == []) is is_right


def test_true_is_no_number() -> None:
    request = {"jobDefinitionName": "x", "type": "container", "schedulingPriority": True}
    assert find_faults("batch", "RegisterJobDefinition", request) != []


def test_values_of_secrets_are_not_shown() -> None:
    pair = {"name": "HF_TOKEN", "value": 12345678}
    faults = find_faults(
        "batch",
        "RegisterJobDefinition",
        {
            "jobDefinitionName": "x",
            "type": "container",
            "containerProperties": {"environment": [pair]},
        },
    )
    assert faults == [
        "containerProperties.environment[0].value is (hidden) of type int, must be of type string"
    ]


@given(st.dictionaries(st.sampled_from(MEMBERS), VALUES))
def test_what_is_accepted_is_accepted_by_the_sdk(request: dict[str, Any]) -> None:
    shape = service_model._service("batch").operation_model("RegisterJobDefinition").input_shape
    if not find_faults("batch", "RegisterJobDefinition", request):
        assert not ParamValidator().validate(request, shape).has_errors()


def test_without_the_sdk_only_a_dry_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import sys

    monkeypatch.setitem(sys.modules, "botocore.loaders", None)
    service_model._service.cache_clear()
    with pytest.raises(AwsPackageMissing):
        check_request("batch", "SubmitJob", {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_request_if_possible("batch", "SubmitJob", {"nonsense": 1})
