"""The request of the scheduler ``kubernetes_mcad``, which prints as YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchx.schedulers.kubernetes.models import sanitize_for_serialization


@dataclass
class KubernetesMCADJob:
    """What is sent to a cluster. Prints as YAML that ``kubectl apply`` takes, secrets hidden.

    Attributes:
        images_to_push: Local image -> repository and tag to push it to.
        resource: The AppWrapper.
    """

    images_to_push: dict[str, tuple[str, str]]
    resource: dict[str, Any]

    def __str__(self) -> str:
        import yaml

        from torchx.util.redact import redact_data

        dumper = getattr(yaml, "CDumper", yaml.Dumper)
        return yaml.dump(redact_data(sanitize_for_serialization(self.resource)), Dumper=dumper)

    __repr__ = __str__
