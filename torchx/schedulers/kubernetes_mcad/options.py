"""The run options of the ``kubernetes_mcad`` scheduler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from torchx.schedulers.kubernetes.labels import clean_label_value
from torchx.schedulers.kubernetes.pod import RESERVED_MEMMB, RESERVED_MILLICPU
from torchx.schedulers.structured_opts import IS_EXTENSION, StructuredOpts
from torchx.specs.api import CfgVal

REQUEUE_AFTER_S = 300
"""After how many seconds MCAD looks whether enough pods are well, if not said otherwise."""


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    namespace: str = "default"
    """namespace to run in"""

    image_repo: str | None = None
    """repository that images with local code are pushed to"""

    service_account: str | None = None
    """service account of the pods; by default that of the namespace"""

    priority: int | None = None
    """priority of the app in the queue of MCAD: the higher one is dispatched first"""

    priority_class_name: str | None = None
    """priority class of the pods: what the scheduler of Kubernetes goes by"""

    image_secret: str | None = None
    """name of the secret to pull images with"""

    coscheduler_name: str | None = None
    """scheduler that starts all pods of a role together (the coscheduling plugin): makes a PodGroup
    of each role"""

    network: str | None = None
    """additional network of the pods (the name of a Multus network attachment)"""

    context: str | None = field(default=None, metadata=IS_EXTENSION)
    """context of the kubeconfig, which names a cluster and a user; by default the current one"""

    quota_labels: dict[str, str] | None = field(default=None, metadata=IS_EXTENSION)
    """labels of the AppWrapper by which MCAD finds the quota to charge, as tree:node;tree2:node2"""

    requeue_after_s: int = field(default=REQUEUE_AFTER_S, metadata=IS_EXTENSION)
    """seconds after the dispatch when MCAD looks whether the app has to be started again
    (max_retries); twice as long each time"""

    reserved_millicpu: int = field(default=RESERVED_MILLICPU, metadata=IS_EXTENSION)
    """thousandths of a CPU to request less than the role asks for, so that it fits on a node which
    runs other things, too; the limit of the pod stays"""

    reserved_memmb: int = field(default=RESERVED_MEMMB, metadata=IS_EXTENSION)
    """memory in MB to request less than the role asks for, as above"""

    validate_spec: bool = field(default=True, metadata=IS_EXTENSION)
    """check the AppWrapper against the schema that comes with torchx before it is submitted"""


def options_of(cfg: Mapping[str, CfgVal]) -> Opts:
    """Reads a run config of any form.

    Args:
        cfg: The options, or a mapping of their keys. Unknown keys are ignored.

    Returns:
        The options.

    Raises:
        AssertionError: An option is of the wrong type.
        ValueError: An option makes no sense.
    """
    given = {key: cfg[key] for key in cfg}
    # An option that may not be None is only left to its default where it is not given.
    assert given.get("namespace", "") is not None, "namespace must be a str, not None"
    opts = Opts.from_cfg({key: value for key, value in given.items() if value is not None})
    for name, kind in _TYPES.items():
        value = getattr(opts, name)
        is_right = value is None or (isinstance(value, kind) and not isinstance(value, bool))
        assert is_right, f"{name} must be a {kind.__name__}, not {value!r}"
    if opts.requeue_after_s < 1:
        raise ValueError(
            f"the run option `requeue_after_s` must be at least 1, not {opts.requeue_after_s}"
        )
    for key, value in (opts.quota_labels or {}).items():
        if clean_label_value(value) != value:
            raise ValueError(
                f"the run option `quota_labels` has for `{key}` the value `{value}`, which is no"
                " value of a label: it takes letters, digits and inner dashes, dots and underscores"
            )
    if opts.image_secret is not None and opts.service_account is not None:
        warnings.warn(
            "both `image_secret` and `service_account` are given: the service account may have a"
            " pull secret of its own, which is not used then",
            stacklevel=3,
        )
    return opts


_TYPES: Mapping[str, type] = {
    "namespace": str,
    "service_account": str,
    "priority": int,
    "priority_class_name": str,
    "image_secret": str,
    "coscheduler_name": str,
    "network": str,
    "context": str,
    "quota_labels": dict,
    "requeue_after_s": int,
    "reserved_millicpu": int,
    "reserved_memmb": int,
}
