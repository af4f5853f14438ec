"""Puts failures of AWS, and of the way to it, into one line and says what to do.

Errors are told apart by the names of their classes and by the codes that AWS answers with, so that
``botocore`` need not be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torchx.errors import BackendError, TorchXError
from torchx.util.redact import redact_text

_SERVER_ERRORS = 500

_LOG_IN = (
    "log in again: aws sso login (with --profile if you use one), or get new keys and set"
    " AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
)
_NO_LOGIN = (
    "log in: aws sso login or aws configure, choose a profile with AWS_PROFILE, or set"
    " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)

_EXPIRED = frozenset(
    (
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    )
)
_BAD_KEYS = frozenset(
    (
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    )
)
_NO_CREDENTIALS = frozenset(
    (
        "CredentialRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
    )
)
_DENIED = frozenset(
    ("AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation")
)
THROTTLED = frozenset(
    (
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    )
)
"""Codes by which AWS says that it was asked too often."""

_UNREACHABLE = frozenset(
    (
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    )
)
_MISSING_QUEUE = re.compile(r"queue\b.*\b(not found|not exist|not valid)", re.IGNORECASE)
_MISSING_LOG_GROUP = re.compile(r"log group.*does not exist", re.IGNORECASE)
_ACTION = re.compile(r"perform:? (?P<action>[\w-]+:\w+)(?: on resource:? (?P<resource>\S+))?")
_PRINCIPAL = re.compile(r"User: (?P<principal>\S+) is not authorized")


class AwsPackageMissing(TorchXError, ModuleNotFoundError):
    """The Python package ``boto3`` is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the Python package `boto3` is not installed: pip install 'torchx[aws]'",
            hint="pip install 'torchx[aws]'",
        )
        self.name = "boto3"

    def __reduce__(self) -> tuple[type[AwsPackageMissing], tuple[()]]:
        return type(self), ()


class AwsError(BackendError):
    """AWS refused, or did not answer.

    Args:
        message: One sentence for a person.
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later without any change.
        code: The code of the answer, or the name of botocore's exception.
        said: What AWS said.

    Attributes:
        code: See above.
        said: See above.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        transient: bool = False,
        code: str = "",
        said: str = "",
    ) -> None:
        super().__init__(message, hint=hint, transient=transient)
        self.code = code
        self.said = said

    def is_missing_queue(self) -> bool:
        """Tells whether a job queue does not exist."""
        return _MISSING_QUEUE.search(self.said) is not None


class AwsLoginError(AwsError):
    """There are no credentials, or they are not (any longer) valid."""


class AwsAccessError(AwsError):
    """The credentials are valid, but a permission is missing."""


@dataclass(frozen=True)
class _Kind:
    """Errors that mean the same, by the names of their classes or by their codes."""

    names: frozenset[str]
    message: str
    hint: str
    error: type[AwsError] = AwsError
    transient: bool = False


_KINDS = (
    _Kind(_EXPIRED, "the AWS credentials have expired", _LOG_IN, AwsLoginError),
    _Kind(
        _BAD_KEYS,
        "AWS does not accept the credentials ({code}: {said})",
        f"{_LOG_IN}; check the clock of this machine, too",
        AwsLoginError,
    ),
    _Kind(
        _NO_CREDENTIALS,
        "there are no usable AWS credentials ({said})",
        _NO_LOGIN,
        AwsLoginError,
    ),
    _Kind(
        frozenset(["NoRegionError"]),
        "no AWS region is set",
        "set AWS_DEFAULT_REGION, or `region` in the profile (aws configure set region)",
    ),
    _Kind(
        frozenset(["ProfileNotFound"]),
        "{said}",
        "set AWS_PROFILE to one of those that `aws configure list-profiles` shows",
    ),
    _Kind(
        THROTTLED,
        "AWS was asked too often ({code})",
        "try again in a minute, or ask for a higher quota",
        transient=True,
    ),
    _Kind(
        _UNREACHABLE,
        "AWS cannot be reached: {said}",
        "check the network, the proxy, the region and AWS_ENDPOINT_URL",
        transient=True,
    ),
)


@contextmanager
def aws_errors(doing: str, resource: str = "") -> Iterator[None]:
    """Translates what botocore raises inside.

    Args:
        doing: What is being done, to follow "cannot", for example ``submit the job x``.
        resource: What it is done to, for a person, for example ``job queue `gpu```.

    Raises:
        AwsError: Botocore raised.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TorchXError) or not is_aws_error(error):
            raise
        raise aws_error(error, doing, resource) from error


def is_aws_error(error: BaseException) -> bool:
    """Tells whether botocore raised an error.

    Args:
        error: What a call raised.

    Returns:
        True if :func:`aws_error` can translate it.
    """
    names = _names_of(error)
    return "BotoCoreError" in names or "ClientError" in names


def error_code(error: BaseException) -> str:
    """Names the code of an answer.

    Args:
        error: What a call raised.

    Returns:
        For example ``ResourceNotFoundException``; the name of the class if AWS did not answer.
    """
    if isinstance(error, AwsError):
        return error.code
    response: dict[str, Any] = getattr(error, "response", None) or {}
    details = response.get("Error", {}) if isinstance(response, dict) else {}
    # Some services put a namespace in front, or the place of a document behind.
    code = str(details.get("Code") or "").split("#")[-1].split(":")[0]
    return code or type(error).__name__


def is_throttled(error: BaseException) -> bool:
    """Tells whether AWS was asked too often.

    Args:
        error: What a call raised.

    Returns:
        True if the same call will do later.
    """
    return error_code(error) in THROTTLED


def aws_error(error: Exception, doing: str, resource: str = "") -> AwsError:
    """Puts an error of botocore into words.

    Args:
        error: What botocore raised.
        doing: What could not be done, to follow "cannot".
        resource: What it was done to, for a person.

    Returns:
        The error to raise.
    """
    code = error_code(error)
    kinds = {code, *_names_of(error)}
    said = _said(error)
    head = f"cannot {doing}"
    if kinds & _DENIED:
        return _denied(head, said, resource, error, code)
    for kind in _KINDS:
        if kinds & kind.names:
            return kind.error(
                f"{head}: {kind.message.format(code=code, said=said)}",
                hint=kind.hint,
                transient=kind.transient,
                code=code,
            )
    return _refused(head, said, resource, error, code)


def _denied(head: str, said: str, resource: str, error: Exception, code: str) -> AwsAccessError:
    action = _ACTION.search(said)
    principal = _PRINCIPAL.search(said)
    permission = action["action"] if action else _operation(error)
    on = (action["resource"] if action else None) or resource or "what it needs"
    who = f" of {principal['principal']}" if principal else ""
    return AwsAccessError(
        f"{head}: the permission {permission} on {on} is missing",
        hint=f"have the IAM policy{who} allow {permission} on {on}",
        code=code,
    )


def _refused(head: str, said: str, resource: str, error: Exception, code: str) -> AwsError:
    """What remains: AWS answered that the request cannot be served."""
    hint = ""
    if _MISSING_QUEUE.search(said):
        hint = (
            "check the name, the region and the account: aws batch describe-job-queues shows"
            " the queues that there are"
        )
    elif _MISSING_LOG_GROUP.search(said):
        hint = "check the name of the log group and the region: aws logs describe-log-groups"
    elif code in ("ResourceNotFoundException", "ResourceNotFound"):
        hint = f"check that {resource or 'it'} exists in this region and account"
    status = _status(error)
    return AwsError(
        f"{head}: {said}",
        hint=hint,
        transient=status is not None and status >= _SERVER_ERRORS,
        code=code,
        said=said,
    )


def _operation(error: Exception) -> str:
    return f"to call {getattr(error, 'operation_name', '') or 'this operation'}"


def _status(error: Exception) -> int | None:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _said(error: Exception) -> str:
    """What AWS, or botocore, said, on one line and without secrets."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    text = str(response.get("Error", {}).get("Message") or error)
    return redact_text(" ".join(text.split())).rstrip(".")


def _names_of(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
