"""How the conformance suite uses a cluster, real or not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from torchx.runner import Runner, get_runner
from torchx.schedulers.api import Stream
from torchx.schedulers.kubernetes.stamps import strip_stamps
from torchx.specs import (
    AppHandle,
    BindMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
)
from torchx.testing import Capability, SchedulerHarness

SMALL = Resource(cpu=1, gpu=0, memMB=128)
"""What each replica is limited to; see ``SMALL_REQUESTS``."""

SMALL_REQUESTS = {"reserved_millicpu": 950, "reserved_memmb": 96}
"""Run options with which 20 replicas fit on a node of two CPUs: they ask for 50m and 32 MB."""

TOO_LARGE = Resource(cpu=4000, gpu=0, memMB=96)
"""What no node has."""

ALWAYS_MISSING = {
    Capability.CANCELLED_LOG: "a cluster removes the pods that it ends, and their logs with them",
    Capability.ERROR_FILE: "torchrun replaces its error file, and the termination log of a"
    " container cannot be replaced",
    Capability.SEPARATE_STREAMS: "nodes keep both outputs in one log",
    Capability.RETRY_ROLE: "neither plain Jobs nor Volcano restart one role of several",
}

PLAIN_MISSING = {
    **ALWAYS_MISSING,
    Capability.RETRY_APPLICATION: "plain Jobs restart single replicas only",
}

_ONE_LESS = "maxRetry of Volcano counts the first attempt as well: there is one retry less"

VOLCANO_MISSING = {
    **ALWAYS_MISSING,
    Capability.RETRY_APPLICATION: _ONE_LESS,
    Capability.RETRY_REPLICA: _ONE_LESS,
}


MCAD_MISSING = {
    **ALWAYS_MISSING,
    Capability.RETRY_ROLE: "MCAD starts whole apps again",
    Capability.RETRY_REPLICA: "MCAD starts whole apps again",
}


class KubernetesHarness(SchedulerHarness):
    """Ends replicas fast: the first process of a container ignores SIGTERM unless it handles it."""

    grace_period_s = 1

    def role(
        self,
        program: str,
        *args: str,
        name: str = "job",
        num_replicas: int = 1,
        env: Mapping[str, str] | None = None,
        max_retries: int = 0,
        retry_policy: RetryPolicy = RetryPolicy.APPLICATION,
        mounts: Sequence[BindMount | VolumeMount | DeviceMount] = (),
    ) -> Role:
        role = super().role(
            program,
            *args,
            name=name,
            num_replicas=num_replicas,
            env=env,
            max_retries=max_retries,
            retry_policy=retry_policy,
            mounts=mounts,
        )
        spec = {"terminationGracePeriodSeconds": self.grace_period_s}
        role.metadata["kubernetes"] = {"V1Pod": {"spec": spec}}
        return role


class UnstampedRunner(Runner):
    """Takes the time off the lines of Volcano Jobs, which have it as they always had."""

    def log_lines(
        self,
        app_handle: AppHandle,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterator[str]:
        lines = super().log_lines(
            app_handle, role_name, k, None, since, until, should_tail, streams
        )
        texts = (_unstamped(line) for line in lines)
        return texts if regex is None else filter(re.compile(regex).search, texts)


def make_unstamped_runner() -> Runner:
    """Makes a runner for the cases on Volcano Jobs."""
    runner: Any = get_runner()
    runner.__class__ = UnstampedRunner
    made: Runner = runner
    return made


def _unstamped(line: str) -> str:
    return strip_stamps(line.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
