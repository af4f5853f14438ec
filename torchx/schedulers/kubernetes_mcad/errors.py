"""What goes wrong with AppWrappers, beyond what goes wrong with any cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchx.errors import TorchXError
from torchx.schedulers.kubernetes.errors import KubernetesError, is_no_such_api, status_of_body

if TYPE_CHECKING:
    from kubernetes.client import ApiException

_UNAUTHORIZED, _MISSING, _CONFLICT = 401, 404, 409


class AppWrapperAccessError(KubernetesError, ValueError):
    """AppWrappers cannot be read: MCAD is not installed, or the credentials are not accepted."""


class AppWrapperExistsError(TorchXError, ValueError):
    """An AppWrapper of that name exists already."""


def is_missing(error: ApiException | KubernetesError) -> bool:
    """Tells whether the server says that one object is missing, and nothing more.

    Args:
        error: What a call raised.

    Returns:
        False for an API that is missing, and where no server has said anything.
    """
    if error.status != _MISSING or is_no_such_api(error):
        return False
    body = getattr(error, "body", None)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return bool((status_of_body(text).get("details") or {}).get("name"))


def access_error(error: KubernetesError) -> KubernetesError:
    """Chooses the error to raise when an AppWrapper cannot be read.

    Args:
        error: The error, in words.

    Returns:
        A ``ValueError`` where there is no access at all.
    """
    if error.status not in (_UNAUTHORIZED, _MISSING):
        return error
    hint = error.hint or "check the current context, and whether MCAD is installed in its cluster"
    return AppWrapperAccessError(str(error), hint=hint, status=error.status)


def conflict_error(name: str) -> AppWrapperExistsError:
    """Makes the error for a name that is taken.

    Args:
        name: The name.

    Returns:
        The error.
    """
    return AppWrapperExistsError(
        f"the AppWrapper `{name}` already exists; resubmit the app",
        hint="it gets another name then",
    )


def is_conflict(error: KubernetesError) -> bool:
    """Tells whether a name is taken.

    Args:
        error: What creating an object raised.

    Returns:
        True if so.
    """
    return error.status == _CONFLICT
