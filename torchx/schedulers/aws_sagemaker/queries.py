"""Asks SageMaker about any number of training jobs with few questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.aws_sagemaker import parse
from torchx.schedulers.aws_sagemaker.client import PAGE_JOBS, SageMaker

FEW_JOBS = 5
"""Up to so many jobs are asked for one by one."""

_MORE_PAGES = 10


def describe_many(
    sagemaker: SageMaker, app_ids: Sequence[str]
) -> Mapping[str, DescribeAppResponse]:
    """Describes training jobs.

    Many are looked up in the list of jobs, the newest first: one question answers for 100 of them.
    Those that are not among the jobs of the first pages are asked for one by one.

    Args:
        sagemaker: The calls.
        app_ids: Names of the jobs.

    Returns:
        Description by name, without those that SageMaker does not know.

    Raises:
        AwsError: SageMaker refuses, or does not answer.
    """
    wanted = set(app_ids)
    found: dict[str, DescribeAppResponse] = {}
    if len(wanted) > FEW_JOBS:
        most_pages = len(wanted) // PAGE_JOBS + _MORE_PAGES
        for number, page in enumerate(sagemaker.summaries(), start=1):
            for summary in page:
                if summary["TrainingJobName"] in wanted:
                    found[summary["TrainingJobName"]] = parse.describe(summary)
            if len(found) == len(wanted) or number == most_pages:
                break
        else:
            return found
    for app_id in wanted - found.keys():
        answer = sagemaker.describe(app_id)
        if answer is not None:
            found[app_id] = parse.describe(answer)
    return found
