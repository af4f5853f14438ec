"""Labels by which everything that belongs to an app is found again. No I/O."""

from __future__ import annotations

import re

import torchx
from torchx.specs.api import AppDef, Role

LABEL_VERSION = "torchx.pytorch.org/version"
LABEL_APP_NAME = "torchx.pytorch.org/app-name"
LABEL_ROLE_INDEX = "torchx.pytorch.org/role-index"
LABEL_ROLE_NAME = "torchx.pytorch.org/role-name"
LABEL_REPLICA_ID = "torchx.pytorch.org/replica-id"
LABEL_KUBE_APP_NAME = "app.kubernetes.io/name"
LABEL_ORGANIZATION = "app.kubernetes.io/managed-by"
LABEL_UNIQUE_NAME = "app.kubernetes.io/instance"

ANNOTATION_ROLE_NAME = "torchx.pytorch.org/role-name"
"""Annotation of a plain Job: the name of its role, if the label cannot hold it as it is."""

LABEL_COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
"""Label and annotation by which Kubernetes numbers the pods of an Indexed Job."""

_ORGANIZATION = "torchx.pytorch.org"
_LONGEST_VALUE = 63
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9\-_.]")
_NOT_ALPHANUMERIC_START = re.compile(r"^[^A-Za-z0-9]+")
_NOT_ALPHANUMERIC_END = re.compile(r"[^A-Za-z0-9]+$")


def clean_label_value(text: str) -> str:
    """Turns text into the value of a label.

    Args:
        text: Any text.

    Returns:
        The text with ``.`` for all that must not stand there, of at most 63 characters, without
        punctuation at both ends. It may be empty.

    Example:
        >>> clean_label_value("a/b+c_")
        'a.b.c'
    """
    value = _NOT_ALLOWED.sub(".", text)
    value = _NOT_ALPHANUMERIC_START.sub("", value)[:_LONGEST_VALUE]
    return _NOT_ALPHANUMERIC_END.sub("", value)


def app_labels(app: AppDef, app_id: str) -> dict[str, str]:
    """Returns the labels of an object that belongs to a whole app.

    Args:
        app: The app.
        app_id: Unique name of the app, without a namespace.

    Returns:
        A new dict.
    """
    return {
        LABEL_VERSION: clean_label_value(torchx.__version__),
        LABEL_APP_NAME: clean_label_value(app.name),
        LABEL_KUBE_APP_NAME: clean_label_value(app.name),
        LABEL_ORGANIZATION: _ORGANIZATION,
        LABEL_UNIQUE_NAME: clean_label_value(app_id),
    }


def role_labels(app: AppDef, role_idx: int, role: Role, app_id: str) -> dict[str, str]:
    """Returns the labels of an object that belongs to all replicas of a role.

    Args:
        app: The app.
        role_idx: Position of the role in the app.
        role: The role.
        app_id: Unique name of the app, without a namespace.

    Returns:
        A new dict.
    """
    return {
        **app_labels(app, app_id),
        LABEL_ROLE_INDEX: str(role_idx),
        LABEL_ROLE_NAME: clean_label_value(role.name),
    }


def pod_labels(
    app: AppDef, role_idx: int, role: Role, replica_id: int, app_id: str
) -> dict[str, str]:
    """Returns the labels of the pod of one replica.

    Args:
        app: The app.
        role_idx: Position of the role in the app.
        role: The role.
        replica_id: Number of the replica within the role.
        app_id: Unique name of the app, without a namespace.

    Returns:
        A new dict.
    """
    return {**role_labels(app, role_idx, role, app_id), LABEL_REPLICA_ID: str(replica_id)}
