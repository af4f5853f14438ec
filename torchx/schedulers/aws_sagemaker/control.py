"""Ends training jobs, and waits until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.aws_sagemaker.client import SageMaker
from torchx.specs.api import is_terminal

LONGEST_END_S = 300.0
"""How long a job that is stopped may take: two minutes for the program, the rest for results."""


def delete(
    sagemaker: SageMaker,
    app_id: str,
    describe: Callable[[str], DescribeAppResponse | None],
    wait_for_change: Callable[[str, float], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Deletes a training job; one that runs is stopped first, since SageMaker demands that.

    Args:
        sagemaker: The calls.
        app_id: Name of the job.
        describe: Describes the job.
        wait_for_change: Returns when the job may have changed since it was described, and after so
            many seconds at the latest.
        clock: Gives a time in seconds that never goes back.

    Raises:
        AwsError: SageMaker refuses, does not answer, or has not stopped the job in time.
    """
    found = describe(app_id)
    if found is not None and not _has_ended(found):
        sagemaker.stop(app_id)
        found = describe(app_id)
    deadline_s = clock() + LONGEST_END_S
    while found is not None and not _has_ended(found) and (left_s := deadline_s - clock()) > 0:
        wait_for_change(app_id, left_s)
        found = describe(app_id)
    if found is not None and not _is_going(found):
        sagemaker.delete(app_id)


def _has_ended(found: DescribeAppResponse) -> bool:
    return is_terminal(found.state) or _is_going(found)


def _is_going(found: DescribeAppResponse) -> bool:
    return found.metadata.get("status") == "Deleting"
