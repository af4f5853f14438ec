"""The request of the scheduler ``kubernetes``, which prints as YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torchx.schedulers.kubernetes.labels import LABEL_UNIQUE_NAME
from torchx.schedulers.kubernetes.models import plain_data


@dataclass
class KubernetesJob:
    """What is sent to a cluster. Prints as YAML that ``kubectl apply`` takes, secrets hidden.

    Attributes:
        images_to_push: Local image -> repository and tag to push it to.
        resource: The Volcano Job, or the plain Job of the first role.
        dependents: What belongs to a plain Job: the Services and the Jobs of the other roles. They
            get it as their owner when they are created.
    """

    images_to_push: dict[str, tuple[str, str]]
    resource: dict[str, Any]
    dependents: list[dict[str, Any]] = field(default_factory=list)

    def is_plain(self) -> bool:
        """Tells whether the app becomes plain Jobs."""
        return bool(self.resource.get("apiVersion") == "batch/v1")

    def app_name(self) -> str:
        """Returns the unique name of the app in its namespace."""
        metadata: dict[str, Any] = self.resource["metadata"]
        name: str = metadata["name"]
        return metadata["labels"][LABEL_UNIQUE_NAME] if self.is_plain() else name

    def data(self) -> list[dict[str, Any]]:
        """Returns all objects as plain data."""
        return list(map(plain_data, [self.resource, *self.dependents]))

    def __str__(self) -> str:
        from torchx.util.redact import redact_data
        from torchx.util.yaml_text import dump_yaml

        return "---\n".join(map(dump_yaml, redact_data(self.data())))

    __repr__ = __str__
