"""The conformance suite: what every scheduler must do, as test cases to run against your own.

Describe your back end with a :class:`SchedulerHarness`, hand it out from a pytest fixture called
``harness`` and subclass :class:`SchedulerContract`::

    import pytest
    from collections.abc import Iterator
    from torchx.testing import SchedulerContract, SchedulerHarness

    @pytest.fixture
    def harness() -> Iterator[SchedulerHarness]:
        with SchedulerHarness("my_scheduler") as harness:
            yield harness

    class TestMyScheduler(SchedulerContract):
        pass

What a back end cannot do goes into ``SchedulerHarness(missing={...})`` with the reason; the cases
that need it are skipped and print the reason. This is the only package of torchx that needs pytest.
"""

import pytest

# pytest explains a failed assertion only in modules named before they are imported.
pytest.register_assert_rewrite("torchx.testing.cases")

from torchx.testing.capabilities import Capability  # noqa: E402 (see above)
from torchx.testing.contract import SchedulerContract  # noqa: E402
from torchx.testing.harness import SchedulerHarness  # noqa: E402
from torchx.testing.job import Job, LogFollower  # noqa: E402
from torchx.testing.peer import Peer  # noqa: E402

__all__ = ["Capability", "Job", "LogFollower", "Peer", "SchedulerContract", "SchedulerHarness"]
