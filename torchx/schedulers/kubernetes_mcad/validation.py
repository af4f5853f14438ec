"""Checks an AppWrapper by the schema that comes with torchx: what MCAD wraps, no server checks.

An AppWrapper with a pod that the cluster refuses is accepted, and then never gets anywhere.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from torchx.schedulers.kubernetes.names import check_pod_name
from torchx.schedulers.kubernetes.schema import faults_of
from torchx.schedulers.kubernetes_mcad.request import KubernetesMCADJob

log: logging.Logger = logging.getLogger(__name__)

_DIGITS = re.compile(r"\d+")
_LARGEST_BYTES = 1_500_000


def validate(job: KubernetesMCADJob) -> None:
    """Checks a request.

    Args:
        job: The request.

    Raises:
        ValueError: A cluster would not take it, or not what is in it.
    """
    resource = job.data()
    items: list[dict[str, Any]] = resource["spec"]["resources"]["GenericItems"]
    templates = [item["generictemplate"] for item in items]
    for template in templates:
        if template["kind"] == "Pod":
            check_pod_name(template["metadata"]["name"])
    faults = faults_of([resource, *_distinct(templates)])
    if faults:
        raise ValueError(f"Invalid job spec: {'; '.join(faults)}")
    size_bytes = len(json.dumps(resource, separators=(",", ":")))
    if size_bytes > _LARGEST_BYTES:
        log.warning(
            "the AppWrapper `%s` has %.1f MB, and clusters usually take 1.5 MB: start fewer"
            " replicas, or use the scheduler `kubernetes`, which needs one object for a role",
            resource["metadata"]["name"],
            size_bytes / 1e6,
        )


def _distinct(templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out objects that differ from another one in numbers only, as replicas do."""
    found: dict[str, dict[str, Any]] = {}
    for template in templates:
        # A status is made by the cluster, and what is sent of it is ignored.
        sent = {key: value for key, value in template.items() if key != "status"}
        found.setdefault(_DIGITS.sub("0", json.dumps(sent)), sent)
    return list(found.values())
