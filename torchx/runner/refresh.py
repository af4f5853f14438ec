"""Asks schedulers how remembered jobs are doing, all jobs and all schedulers at the same time.

A scheduler that hangs or fails does not hold the others up: its jobs keep their last known state,
and say since when it is old.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torchx.runner.bookkeeping import reason_of
from torchx.runner.store.records import RememberedJob
from torchx.schedulers.abilities import DescribesMany, FindsSubmissions
from torchx.specs import AppState
from torchx.specs.status import is_terminal

if TYPE_CHECKING:
    from torchx.schedulers.api import DescribeAppResponse, Scheduler

logger: logging.Logger = logging.getLogger(__name__)

NEVER_SUBMITTED = "the launcher ended before the scheduler had the job"
"""Reason of jobs that the scheduler does not know although an id was planned for them."""

_MOST_THREADS_PER_SCHEDULER = 8
_SETTLING_S = 30.0
"""How long after a submission a scheduler may not know a job yet."""


class Answer(NamedTuple):
    """What a scheduler said about one job.

    Attributes:
        job: The job as it is now.
        is_void: True if its submission failed and the scheduler does not have it.
    """

    job: RememberedJob
    is_void: bool = False


def refresh(
    jobs: Sequence[RememberedJob],
    scheduler_of: Callable[[str], Scheduler[Any]],
    timeout_s: float,
) -> dict[str, Answer]:
    """Asks for the states of jobs that may have changed.

    Args:
        jobs: The jobs; those that are over are not asked for.
        scheduler_of: Returns a scheduler by its name.
        timeout_s: Longest time that all of it may take.

    Returns:
        Answer by submission id, for every job that was asked for. Where there was none in time,
        the job is as it was, with a reason that says so.
    """
    groups: dict[str, list[RememberedJob]] = {}
    for job in jobs:
        if not job.is_over:
            groups.setdefault(job.scheduler, []).append(job)
    answers: queue.SimpleQueue[tuple[str, list[Answer] | Exception]] = queue.SimpleQueue()

    def ask(scheduler: str, group: list[RememberedJob]) -> None:
        try:
            answers.put((scheduler, _ask(scheduler_of(scheduler), group)))
        except Exception as error:
            logger.debug("scheduler `%s` cannot be asked", scheduler, exc_info=True)
            answers.put((scheduler, error))

    # Daemons: a scheduler that hangs must not hold up the end of the process.
    for scheduler, group in groups.items():
        threading.Thread(target=ask, args=(scheduler, group), daemon=True).start()
    found: dict[str, Answer] = {}
    waiting = dict(groups)
    deadline_s = time.monotonic() + timeout_s
    while waiting:
        try:
            scheduler, outcome = answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            break
        group = waiting.pop(scheduler)
        if isinstance(outcome, Exception):
            outcome = [
                _unanswered(job, f"`{scheduler}` cannot be asked: {outcome}") for job in group
            ]
        found.update((answer.job.submission_id, answer) for answer in outcome)
    for scheduler, group in waiting.items():
        late = [
            _unanswered(job, f"`{scheduler}` did not answer in {timeout_s:g} s") for job in group
        ]
        found.update((answer.job.submission_id, answer) for answer in late)
    return found


def changes_of(before: RememberedJob, after: RememberedJob) -> dict[str, object]:
    """Lists what has to be written after a refresh.

    Args:
        before: The job as it was remembered.
        after: The job as it is now.

    Returns:
        New values of columns; empty if nothing changed but the time of asking.
    """
    changed: dict[str, object] = {}
    for name in ("app_id", "reason"):
        if getattr(before, name) != getattr(after, name):
            changed[name] = getattr(after, name)
    if before.state is not after.state:
        changed["state"] = after.state.name
    for name in ("is_confirmed", "is_over"):
        if getattr(before, name) != getattr(after, name):
            changed[name] = int(getattr(after, name))
    if changed:
        changed["state_seen_at_s"] = after.state_seen_at_s
    return changed


def _ask(scheduler: Scheduler[Any], jobs: list[RememberedJob]) -> list[Answer]:
    jobs = [_with_id(scheduler, job) for job in jobs]
    known = [job for job in jobs if job.app_id is not None]
    descriptions = _describe(scheduler, [str(job.app_id) for job in known])
    return [_answer(scheduler, job, descriptions.get(str(job.app_id))) for job in jobs]


def _with_id(scheduler: Scheduler[Any], job: RememberedJob) -> RememberedJob:
    if job.app_id is not None or not isinstance(scheduler, FindsSubmissions):
        return job
    found = scheduler.find_submission(job.submission_id)
    return dataclasses.replace(job, app_id=found) if isinstance(found, str) else job


def _describe(
    scheduler: Scheduler[Any], app_ids: Sequence[str]
) -> Mapping[str, DescribeAppResponse]:
    if isinstance(scheduler, DescribesMany):
        return scheduler.describe_many(app_ids)
    if len(app_ids) <= 1:
        found = {app_id: scheduler.describe(app_id) for app_id in app_ids}
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_MOST_THREADS_PER_SCHEDULER) as pool:
            found = dict(zip(app_ids, pool.map(scheduler.describe, app_ids), strict=True))
    return {app_id: description for app_id, description in found.items() if description}


def _answer(
    scheduler: Scheduler[Any], job: RememberedJob, found: DescribeAppResponse | None
) -> Answer:
    now_s = time.time()
    if found is not None:
        state = AppState(found.state)
        return Answer(
            dataclasses.replace(
                job,
                is_confirmed=True,
                state=state,
                reason=reason_of(found.msg),
                state_seen_at_s=now_s,
                is_over=is_terminal(state),
            )
        )
    if not job.is_confirmed:
        return _unconfirmed(scheduler, job)
    if now_s - job.submitted_at_s < _SETTLING_S:
        return Answer(job)
    reason = f"`{job.scheduler}` does not know it any more; last seen {job.state.name}"
    return Answer(
        dataclasses.replace(
            job, state=AppState.UNKNOWN, reason=reason, state_seen_at_s=now_s, is_over=True
        )
    )


def _unconfirmed(scheduler: Scheduler[Any], job: RememberedJob) -> Answer:
    has_failed = job.state is AppState.UNSUBMITTED
    if not has_failed and _may_be_running(job):
        return Answer(dataclasses.replace(job, reason="being submitted"))
    if time.time() - job.submitted_at_s < _SETTLING_S:
        return Answer(job)
    if has_failed:
        return Answer(job, is_void=True)
    if job.app_id is not None or isinstance(scheduler, FindsSubmissions):
        never = AppState.UNSUBMITTED
        return Answer(dataclasses.replace(job, state=never, reason=NEVER_SUBMITTED, is_over=True))
    reason = (
        "its launcher ended before the scheduler answered;"
        f" look for it with `torchx list -s {job.scheduler}`"
    )
    return Answer(dataclasses.replace(job, state=AppState.UNKNOWN, reason=reason))


def _may_be_running(job: RememberedJob) -> bool:
    """Tells whether the launcher may still be at work; on another machine only time can tell."""
    from torchx.schedulers.local.processes import is_running, machine_identity

    launcher = job.launcher
    here = machine_identity()
    if any(launcher.get(name) != value for name, value in here.items()):
        return time.time() - job.submitted_at_s < _SETTLING_S
    return is_running(int(launcher["pid"]), launcher.get("start_ticks"))


def _unanswered(job: RememberedJob, reason: str) -> Answer:
    return Answer(dataclasses.replace(job, reason=reason))
