"""What botocore raises, in one line and with the way out."""

from __future__ import annotations

import pickle
from typing import Any

import botocore.exceptions as sdk
import pytest
from botocore.exceptions import ClientError

from torchx.errors import TorchXError
from torchx.schedulers.aws.errors import (
    AwsAccessError,
    AwsError,
    AwsLoginError,
    AwsPackageMissing,
    aws_error,
    aws_errors,
    error_code,
    is_throttled,
)
from torchx.schedulers.aws.service_model import AwsRequestError


def answer(code: str, message: str = "m", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "SubmitJob",
    )


@pytest.mark.parametrize(
    ("error", "kind", "message", "hint"),
    [
        (
            answer("ExpiredTokenException"),
            AwsLoginError,
            "credentials have expired",
            "aws sso login",
        ),
        (
            sdk.UnauthorizedSSOTokenError(),
            AwsLoginError,
            "credentials have expired",
            "aws sso login",
        ),
        (
            answer("UnrecognizedClientException", "The security token is invalid."),
            AwsLoginError,
            "does not accept the credentials",
            "clock",
        ),
        (sdk.NoCredentialsError(), AwsLoginError, "no usable AWS credentials", "aws configure"),
        (sdk.NoRegionError(), AwsError, "no AWS region", "AWS_DEFAULT_REGION"),
        (
            sdk.ProfileNotFound(profile="x"),
            AwsError,
            "profile (x) could not be found",
            "AWS_PROFILE",
        ),
        (
            answer(
                "AccessDeniedException",
                "User: arn:aws:iam::1:user/ann is not authorized to perform: batch:SubmitJob on"
                " resource: arn:aws:batch:us-east-1:1:job-queue/gpu",
            ),
            AwsAccessError,
            "the permission batch:SubmitJob on arn:aws:batch:us-east-1:1:job-queue/gpu is missing",
            "policy of arn:aws:iam::1:user/ann allow batch:SubmitJob",
        ),
        (
            answer("AccessDenied", "no"),
            AwsAccessError,
            "to call SubmitJob on the queue `q`",
            "allow",
        ),
        (answer("TooManyRequestsException"), AwsError, "asked too often", "quota"),
        (
            sdk.EndpointConnectionError(endpoint_url="https://batch.local"),
            AwsError,
            "cannot be reached: Could not connect to the endpoint URL",
            "AWS_ENDPOINT_URL",
        ),
        (
            answer("ClientException", "Error executing request, Exception : JobQueue q not found."),
            AwsError,
            "JobQueue q not found",
            "describe-job-queues",
        ),
        (
            answer("ResourceNotFoundException", "The specified log group does not exist."),
            AwsError,
            "log group does not exist",
            "describe-log-groups",
        ),
        (answer("ServerException", "sorry", 500), AwsError, "sorry", ""),
    ],
)
def test_each_failure_says_what_to_do(
    error: Exception, kind: type[AwsError], message: str, hint: str
) -> None:
    translated = aws_error(error, "submit the job `j`", "the queue `q`")
    assert type(translated) is kind
    assert str(translated).startswith("cannot submit the job `j`: ")
    assert message in str(translated)
    assert hint in translated.hint
    assert "\n" not in str(translated)


@pytest.mark.parametrize(
    ("error", "is_transient"),
    [
        (answer("ThrottlingException"), True),
        (answer("ServerException", status=503), True),
        (sdk.ReadTimeoutError(endpoint_url="x"), True),
        (answer("ClientException"), False),
        (answer("ExpiredToken"), False),
    ],
)
def test_what_may_pass_is_transient(error: Exception, is_transient: bool) -> None:
    assert aws_error(error, "do it").transient is is_transient


def test_only_errors_of_the_sdk_are_translated() -> None:
    with pytest.raises(KeyError), aws_errors("do it"):
        raise KeyError("x")
    with pytest.raises(AwsError, match="cannot do it: m") as caught, aws_errors("do it"):
        raise answer("ClientException")
    with pytest.raises(AwsError) as again, aws_errors("do more"):
        raise caught.value
    assert again.value is caught.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [("aws.x#ThrottlingException", "ThrottlingException"), ("Throttling:http", "Throttling")],
)
def test_codes_are_read_in_every_spelling(code: str, expected: str) -> None:
    assert error_code(answer(code)) == expected
    assert is_throttled(answer(code))


def test_secrets_in_what_aws_says_are_hidden() -> None:
    said: Any = answer("ClientException", "refused password=hunter2secret")
    assert "hunter2secret" not in str(aws_error(said, "do it"))


@pytest.mark.parametrize(
    "error",
    [
        AwsPackageMissing(),
        AwsRequestError("SubmitJob", ["x is missing"]),
        AwsLoginError("m", hint="h", code="c"),
    ],
)
def test_errors_reach_other_processes(error: TorchXError) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), copied.hint) == (type(error), str(error), error.hint)
