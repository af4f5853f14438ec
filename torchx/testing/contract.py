"""The whole conformance suite."""

from __future__ import annotations

from torchx.testing.cases.delivery import DeliveryCases
from torchx.testing.cases.lifecycle import LifecycleCases
from torchx.testing.cases.logs import LogCases
from torchx.testing.cases.processes import ProcessCases
from torchx.testing.cases.retries import RetryCases


class SchedulerContract(LifecycleCases, DeliveryCases, LogCases, RetryCases, ProcessCases):
    """All cases. Subclass it, with a name that pytest collects, next to a fixture ``harness``."""
