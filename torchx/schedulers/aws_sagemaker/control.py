"""Ends training jobs, and waits until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from torchx.schedulers.aws_sagemaker import parse
from torchx.schedulers.aws_sagemaker.client import SageMaker
from torchx.specs.api import is_terminal

LONGEST_END_S = 300.0
"""How long a job that is stopped may take: two minutes for the program, the rest for results."""


def delete(
    sagemaker: SageMaker,
    app_id: str,
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Deletes a training job; one that runs is stopped first, since SageMaker demands that.

    Args:
        sagemaker: The calls.
        app_id: Name of the job.
        wait: Returns when the job may have changed, and after so many seconds at the latest.
        clock: Gives a time in seconds that never goes back.

    Raises:
        AwsError: SageMaker refuses, does not answer, or has not stopped the job in time.
    """
    answer = sagemaker.describe(app_id)
    deadline_s = clock() + LONGEST_END_S
    if answer is not None and answer.get("TrainingJobStatus") == "InProgress":
        sagemaker.stop(app_id)
        answer = sagemaker.describe(app_id)
    while answer is not None and not is_terminal(parse.state_of(answer)) and clock() < deadline_s:
        wait(deadline_s - clock())
        answer = sagemaker.describe(app_id)
    if answer is not None and answer.get("TrainingJobStatus") != "Deleting":
        sagemaker.delete(app_id)
