"""What the API server refuses, or why it cannot be reached: in one line, with a way out.

Errors of its answers are ``ApiException`` of the client library, too, which callers may catch.
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torchx.errors import BackendError, TorchXError

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE = 401, 403, 404, 409, 410
_TOO_MANY, _SERVER_ERROR = 429, 500
_NO_SUCH_PATH = "404 page not found"
_CRDS = {
    "batch.volcano.sh": "Volcano",
    "scheduling.volcano.sh": "Volcano",
    "workload.codeflare.dev": "MCAD",
    "kueue.x-k8s.io": "Kueue",
    "scheduling.sigs.k8s.io": "the coscheduling plugin",
}
_FORBIDDEN_TO_USER = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?:.*in the namespace "(?P<namespace>[^"]*)")?'
)
_QUEUE_REFUSED = re.compile("unable to find job queue|queue with state")
_LONGEST_TEXT = 500


class KubernetesError(BackendError):
    """The API server of a cluster refuses, fails, or cannot be reached.

    Args:
        message: One sentence for a person.
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later.
        status: HTTP status of the answer; 0 if there was none.
        retry_after_s: Seconds to wait before the next try, if the server said so.

    Attributes:
        status: See above.
        retry_after_s: See above.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        transient: bool = False,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, transient=transient)
        self.status = status
        self.retry_after_s = retry_after_s


class NoSuchReplicaError(TorchXError, LookupError):
    """An app is there, but not the replica whose log was asked for.

    Args:
        app_id: Id of the app.
        role: Name of the role that was asked for.
        replica_id: Number of the replica that was asked for.
        sizes: Name of each role -> number of its replicas.
    """

    def __init__(self, app_id: str, role: str, replica_id: int, sizes: Mapping[str, int]) -> None:
        known = ", ".join(f"{name} (0 to {size - 1})" for name, size in sizes.items())
        super().__init__(
            f"`{app_id}` has no replica {role}/{replica_id}; its roles and replicas are: {known}",
            hint="name one of them",
        )


def answer_error(
    what: str, status: int, headers: Mapping[str, str], body: str, path: str = ""
) -> KubernetesError:
    """Puts a refusal into words.

    Args:
        what: What was tried, for example ``list jobs in namespace team``.
        status: HTTP status.
        headers: Headers of the answer.
        body: Body of the answer.
        path: Path of the request.

    Returns:
        The error to raise, which is an ``ApiException`` as well.
    """
    told = status_of_body(body)
    message = str(told.get("message") or body.strip() or f"HTTP status {status}")
    message = " ".join(message.split())[:_LONGEST_TEXT]
    reason, hint = _explain(status, told, message, path)
    error: KubernetesError = _api_error(f"cannot {what}: {reason}", status, hint, body)
    error.retry_after_s = _retry_after_s(headers, told)
    return error


def from_exception(error: Exception, what: str, path: str = "") -> KubernetesError:
    """Puts an exception of the client library into words.

    Args:
        error: An ``ApiException``.
        what: What was tried.
        path: Path of the request, as far as it is known.

    Returns:
        The error to raise; the same one if it was translated before.
    """
    if isinstance(error, KubernetesError):
        return error
    body: Any = getattr(error, "body", None)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    status, headers = getattr(error, "status", None), getattr(error, "headers", None)
    return answer_error(
        what,
        status or 0,
        dict(headers or {}),
        text or str(getattr(error, "reason", "") or ""),
        path,
    )


def unreachable(
    error: Exception, what: str, host: str, load_error: Exception | None = None
) -> KubernetesError:
    """Puts into words that there was no answer.

    Args:
        error: What the connection raised.
        what: What was tried.
        host: URL of the API server.
        load_error: Why no configuration could be loaded, if none could.

    Returns:
        The error to raise.
    """
    if load_error is not None:
        return KubernetesError(
            f"cannot {what}: no cluster is configured: {' '.join(str(load_error).split())}",
            hint="set KUBECONFIG to a kubeconfig, or write ~/.kube/config; `kubectl config"
            " get-contexts` shows what there is",
        )
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    text = " ".join(str(cause).split())[:_LONGEST_TEXT] or type(cause).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return KubernetesError(
            f"cannot {what}: the certificate of the API server {host} is not trusted: {text}",
            hint="correct certificate-authority of the cluster in your kubeconfig",
        )
    return KubernetesError(
        f"cannot {what}: the API server {host} does not answer: {text}",
        hint="check your network, VPN and proxy, and the server of the current context:"
        " `kubectl cluster-info`",
        transient=True,
    )


@contextmanager
def translated(what: str, path: str = "", api_client: Any = None) -> Iterator[None]:
    """Translates what calls of the client library raise.

    Args:
        what: What is tried.
        path: Path of the request, as far as it is known.
        api_client: The client that is used.

    Raises:
        KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    from torchx.schedulers.kubernetes.access import load_error

    try:
        yield
    except ApiException as error:
        raise from_exception(error, what, path) from error
    except HTTPError as error:
        configuration = getattr(api_client, "configuration", None)
        host = getattr(configuration, "host", "")
        cause = None if api_client is None else load_error(api_client)
        raise unreachable(error, what, host, cause) from error


def status_of_body(body: str | None) -> dict[str, Any]:
    """Reads the ``Status`` object of an answer.

    Args:
        body: Body of the answer.

    Returns:
        The object; empty if the body is none.
    """
    try:
        told = json.loads(body or "")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def is_no_such_api(error: object) -> bool:
    """Tells whether a 404 means that the API itself is missing, not the object.

    Args:
        error: An ``ApiException``.

    Returns:
        True for a group, a version or a kind of object that the cluster does not have.
    """
    if getattr(error, "status", None) != _NOT_FOUND:
        return False
    body = getattr(error, "body", None)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    return _NO_SUCH_PATH in text or (
        "could not find the requested resource" in text and "name" not in _details(text)
    )


def _explain(status: int, told: Mapping[str, Any], message: str, path: str) -> tuple[str, str]:
    if status == _UNAUTHORIZED:
        return (
            "the API server does not accept the credentials: they are missing, wrong or expired",
            "log in again, or renew the token of the current context: `kubectl auth whoami`",
        )
    if status == _FORBIDDEN:
        return _forbidden(told, message)
    if status == _NOT_FOUND:
        return _not_found(told, message, path)
    if status == _GONE:
        return "the cluster has forgotten that much of its past", "try again"
    if status == _TOO_MANY:
        return f"the cluster has too much to do: {message}", "try again later"
    if status >= _SERVER_ERROR:
        return f"the API server failed: {message}", "try again; if it goes on, tell its operators"
    if status == _CONFLICT and told.get("reason") != "AlreadyExists":
        return message, "another process changed it at the same time: try again"
    if _QUEUE_REFUSED.search(message):
        return message, "`kubectl get queues` shows the queues of Volcano and their states"
    return message, ""


def _forbidden(told: Mapping[str, Any], message: str) -> tuple[str, str]:
    causes = (told.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return message, "the namespace is being deleted: wait for that, or choose another one"
    found = _FORBIDDEN_TO_USER.search(message)
    if found is None:
        return message, ""
    if found["user"] == "system:anonymous":
        return (
            (
                "no credentials were sent, so that the API server takes you for `system:anonymous`:"
                f" {message}"
            ),
            "log in, or name a user in the current context of your kubeconfig",
        )
    resource = found["resource"] + (f".{found['group']}" if found["group"] else "")
    where = f" -n {found['namespace']}" if found["namespace"] else ""
    return (
        message,
        (
            f"ask for a Role that lets `{found['user']}` {found['verb']} {resource}:"
            f" `kubectl auth can-i {found['verb']} {resource}{where}`"
        ),
    )


def _not_found(told: Mapping[str, Any], message: str, path: str) -> tuple[str, str]:
    details = told.get("details") or {}
    if details.get("kind") == "namespaces":
        return message, "create it with `kubectl create namespace`, or choose another one"
    if details.get("name"):
        return message, ""
    group = re.search(r"/apis/([^/]+)/", path)
    name = _CRDS.get(group[1]) if group else None
    if name is not None:
        return (
            (
                f"{name} is not installed in this cluster, or in another version"
                f" (there is no {group[1] if group else ''})"
            ),
            f"install {name}, or submit without it",
        )
    return message, ""


def _details(text: str) -> Mapping[str, Any]:
    details = status_of_body(text).get("details")
    return details if isinstance(details, dict) else {}


def _retry_after_s(headers: Mapping[str, str], told: Mapping[str, Any]) -> float | None:
    lower = {str(name).lower(): value for name, value in headers.items()}
    value = lower.get("retry-after") or (told.get("details") or {}).get("retryAfterSeconds")
    try:
        return float(value) if value is not None else None
    except (TypeError, ValueError):
        return None


def _api_error(message: str, status: int, hint: str, body: str) -> KubernetesError:
    from kubernetes.client import ApiException

    error: KubernetesError = _error_class(ApiException)(message, status, hint, body)
    return error


@functools.cache
def _error_class(base: type[Exception]) -> Any:
    class KubernetesApiError(KubernetesError, base):  # type: ignore[misc, valid-type]  # lazy
        """An answer of the API server that is a refusal."""

        def __init__(self, message: str, status: int, hint: str, body: str) -> None:
            is_transient = status in (_GONE, _TOO_MANY) or status >= _SERVER_ERROR
            KubernetesError.__init__(
                self, message, hint=hint, transient=is_transient, status=status
            )
            self.reason = message
            self.body = body

        def __str__(self) -> str:
            return str(self.args[0])

        def __reduce__(self) -> tuple[Any, ...]:
            return _api_error, (self.args[0], self.status, self.hint, self.body)

    return KubernetesApiError


def named_object(error: Any, logger: logging.Logger) -> str | None:
    """Reads from a refusal which object it is about.

    Args:
        error: The refusal.
        logger: Is told if it does not say so.

    Returns:
        Name of the object; ``None`` if it does not say so.
    """
    try:
        name: str = json.loads(error.body)["details"]["name"]
    except Exception:
        logger.exception("the cluster does not say which job it means")
        return None
    return name
