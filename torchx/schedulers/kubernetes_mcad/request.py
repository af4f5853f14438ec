"""The request of the scheduler ``kubernetes_mcad``, which prints as YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchx.schedulers.kubernetes.models import plain_data


@dataclass
class KubernetesMCADJob:
    """What is sent to a cluster. Prints as YAML that ``kubectl apply`` takes, secrets hidden.

    Attributes:
        images_to_push: Local image -> repository and tag to push it to.
        resource: The AppWrapper.
    """

    images_to_push: dict[str, tuple[str, str]]
    resource: dict[str, Any]

    def data(self) -> dict[str, Any]:
        """Returns the AppWrapper as plain data."""
        plain: Any = plain_data(self.resource)
        return dict(plain)

    def __str__(self) -> str:
        from torchx.util.redact import redact_data
        from torchx.util.yaml_text import dump_yaml

        return dump_yaml(redact_data(self.data()))

    __repr__ = __str__
