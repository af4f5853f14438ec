"""The run options of the ``kubernetes`` scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torchx.schedulers.kubernetes.plain import PlainSettings
from torchx.schedulers.kubernetes.pod import RESERVED_MEMMB, RESERVED_MILLICPU
from torchx.schedulers.kubernetes.refusals import KubernetesAppError, KubernetesAppTypeError
from torchx.schedulers.kubernetes.replicas import PodSettings
from torchx.schedulers.structured_opts import IS_EXTENSION, StructuredOpts
from torchx.specs.api import CfgVal

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_ONLY_PLAIN = {
    "kueue_queue": "Kueue and Volcano are two queues for the same job",
    "max_duration_s": "Volcano has no limit for the time that a Job runs",
}


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    queue: str | None = None
    """Volcano queue: makes one Volcano Job of the app, whose pods start together. Without a queue
    the app becomes plain Jobs, which any cluster runs"""

    namespace: str = "default"
    """namespace to run in"""

    service_account: str | None = None
    """service account of the pods; by default that of the namespace"""

    priority_class: str | None = None
    """priority class of the job"""

    validate_spec: bool = True
    """check the job before it is submitted: by a dry run of the cluster, or if none can be reached
    by the schema that comes with torchx"""

    reserved_millicpu: int = RESERVED_MILLICPU
    """thousandths of a CPU to request less than the role asks for, so that it fits on a node which
    runs other things, too; the limit of the pod stays"""

    reserved_memmb: int = RESERVED_MEMMB
    """memory in MB to request less than the role asks for, as above"""

    image_repo: str | None = None
    """repository that images with local code are pushed to"""

    efa_device_count: int | None = None
    """Elastic Fabric Adapters of each pod: by default what the resource says; 0 for none"""

    context: str | None = field(default=None, metadata=IS_EXTENSION)
    """context of the kubeconfig, which names a cluster and a user; by default the current one"""

    kueue_queue: str | None = field(default=None, metadata=IS_EXTENSION)
    """local queue of Kueue, which admits the job when there is quota for it (plain Jobs)"""

    image_pull_policy: str | None = field(default=None, metadata=IS_EXTENSION)
    """when nodes pull the image: Always, IfNotPresent or Never; by default what Kubernetes does"""

    image_secret: list[str] | None = field(default=None, metadata=IS_EXTENSION)
    """names of the secrets to pull images with, as name;name2"""

    node_selector: dict[str, str] | None = field(default=None, metadata=IS_EXTENSION)
    """labels that nodes must have, as label:value;label2:value2"""

    tolerations: list[str] | None = field(default=None, metadata=IS_EXTENSION)
    """taints that nodes may have, as key:value:Effect;key2:Effect"""

    max_duration_s: int | None = field(default=None, metadata=IS_EXTENSION)
    """longest time in seconds that each role may run, then its replicas are ended (plain Jobs)"""

    ttl_s: int | None = field(default=None, metadata=IS_EXTENSION)
    """seconds after its end when the job is deleted, with its logs and state; by default never"""


def options_of(cfg: Mapping[str, CfgVal]) -> Opts:
    """Reads a run config of any form.

    Args:
        cfg: The options, or a mapping of their keys. Unknown keys are ignored.

    Returns:
        The options.

    Raises:
        TypeError: The queue is no text.
        AssertionError: Another option is of the wrong type.
        ValueError: An option makes no sense, or not together with another one.
    """
    queue = cfg.get("queue")
    if queue is not None and not isinstance(queue, str):
        raise KubernetesAppTypeError(f"config value for `queue` must be a string, not {queue!r}")
    opts = Opts.from_cfg({key: cfg[key] for key in cfg if cfg[key] not in (None, "")})
    for name, kind in _TYPES.items():
        value = getattr(opts, name)
        is_right = value is None or (isinstance(value, kind) and not isinstance(value, bool))
        assert is_right, f"{name} must be {kind.__name__}, not {value!r}"
    faults = list(_faults(opts))
    if faults:
        raise KubernetesAppError("; ".join(faults))
    return opts


_TYPES: Mapping[str, type] = {
    "namespace": str,
    "service_account": str,
    "priority_class": str,
    "reserved_millicpu": int,
    "reserved_memmb": int,
    "efa_device_count": int,
    "context": str,
    "kueue_queue": str,
    "image_pull_policy": str,
    "image_secret": list,
    "node_selector": dict,
    "tolerations": list,
    "max_duration_s": int,
    "ttl_s": int,
}


def _faults(opts: Opts) -> Iterator[str]:
    for name, reason in _ONLY_PLAIN.items():
        if opts.queue is not None and getattr(opts, name) is not None:
            yield (
                f"the run option `{name}` is for plain Jobs, but `queue` asks for Volcano:"
                f" {reason}; give only one of the two"
            )
    if opts.image_pull_policy not in (None, *_PULL_POLICIES):
        yield (
            f"the run option `image_pull_policy` must be one of {', '.join(_PULL_POLICIES)},"
            f" not `{opts.image_pull_policy}`"
        )
    if opts.max_duration_s is not None and opts.max_duration_s < 1:
        yield f"the run option `max_duration_s` must be at least 1, not {opts.max_duration_s}"
    if opts.ttl_s is not None and opts.ttl_s < 1:
        yield (
            f"the run option `ttl_s` must be at least 1, not {opts.ttl_s}: of a job that is deleted"
            " the moment it ends nobody could tell whether it succeeded"
        )


def pod_settings(opts: Opts) -> PodSettings:
    """Returns what options say about pods.

    Args:
        opts: The options, which were checked.

    Returns:
        The settings.
    """
    return PodSettings(
        service_account=opts.service_account,
        reserved_millicpu=opts.reserved_millicpu,
        reserved_memmb=opts.reserved_memmb,
        efa_device_count=opts.efa_device_count,
        # A Volcano Job has a priority of its own.
        priority_class=opts.priority_class if opts.queue is None else None,
        image_pull_policy=opts.image_pull_policy,
        image_secrets=opts.image_secret or [],
        node_selector=opts.node_selector or {},
        tolerations=opts.tolerations or [],
    )


def plain_settings(opts: Opts) -> PlainSettings:
    """Returns what options say about plain Jobs.

    Args:
        opts: The options, which were checked.

    Returns:
        The settings.
    """
    return PlainSettings(
        namespace=opts.namespace,
        kueue_queue=opts.kueue_queue,
        max_duration_s=opts.max_duration_s,
        ttl_s=opts.ttl_s,
    )
