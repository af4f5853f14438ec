"""Asks a batch system about all jobs that somebody waits for at once, less and less often."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs.api import is_terminal

log: logging.Logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
"""Time between the first two questions, in seconds."""

LONGEST_PAUSE_S = 10.0
"""Longest time between two questions, in seconds."""

_GROWTH = 1.5
_INTEREST_S = 15.0

Answers = Mapping[str, DescribeAppResponse]


@dataclass
class _Job:
    """What is known about a job that somebody is interested in.

    ``told_by`` is the number of the question that last told about it, 0 before the first.
    """

    wanted_until_s: float
    answer: DescribeAppResponse | None = None
    told_by: int = 0


class Watcher:
    """Keeps the descriptions of jobs fresh, on a thread that lives as long as anybody asks.

    Args:
        describe_many: Describes any number of jobs at once.
        stamp: Gives a value for a job that changes when the job may have changed. It is cheap, and
            may know nothing.
    """

    def __init__(
        self,
        describe_many: Callable[[Sequence[str]], Answers],
        stamp: Callable[[str], object] = lambda app_id: None,
    ) -> None:
        self._describe_many = describe_many
        self._stamp = stamp
        self._changed = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._thread: threading.Thread | None = None
        self._asked = 0
        self._answered = 0
        self._error: Exception | None = None
        self._is_hurried = False
        self._pause_s = FIRST_PAUSE_S

    def is_over(self, app_id: str) -> bool:
        """Tells, without blocking, whether a job has ended.

        Args:
            app_id: Its id.

        Returns:
            True if it has ended or is unknown; False also as long as nothing is known yet.
        """
        with self._changed:
            job = self._want(app_id)
            return job.told_by > 0 and (job.answer is None or is_terminal(job.answer.state))

    def is_shared(self) -> bool:
        """Tells whether several jobs are watched, so that one question answers for all."""
        with self._changed:
            return self._thread is not None and len(self._jobs) > 1

    def ask(self, app_id: str) -> DescribeAppResponse | None:
        """Describes a job by the next question that is asked about all.

        Args:
            app_id: Its id.

        Returns:
            The answer; ``None`` if the batch system does not know the job.

        Raises:
            Exception: What the question raised.
        """
        with self._changed:
            # The question that is being asked now may have been asked too early.
            number = self._asked + 1
            job = self._want(app_id)
            while self._answered < number:
                self._is_hurried = True
                self._changed.notify_all()
                self._changed.wait(FIRST_PAUSE_S)
                job = self._want(app_id)
            if job.told_by < number and self._error is not None:
                raise self._error
            return job.answer

    def wait_for_change(
        self, app_id: str, seen: DescribeAppResponse | None, timeout_s: float
    ) -> None:
        """Returns when a job differs from what was seen of it.

        Args:
            app_id: Its id.
            seen: What was seen.
            timeout_s: Longest time to wait, in seconds.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            job = self._want(app_id)
            number = job.told_by
            self._pause_s = FIRST_PAUSE_S
            while job.told_by == number or _digest(job.answer) == _digest(seen):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(min(left_s, _INTEREST_S / 2))
                job = self._want(app_id)

    def forget(self, app_id: str) -> None:
        """Drops what is known about a job, because it was changed from here.

        Args:
            app_id: Its id.
        """
        with self._changed:
            self._jobs.pop(app_id, None)

    def close(self) -> None:
        """Ends the thread. Repeatable; it starts again when somebody asks."""
        with self._changed:
            self._jobs.clear()
            self._changed.notify_all()

    def _want(self, app_id: str) -> _Job:
        until_s = time.monotonic() + _INTEREST_S
        job = self._jobs.get(app_id)
        if job is None:
            job = self._jobs[app_id] = _Job(until_s)
            self._pause_s = FIRST_PAUSE_S
        job.wanted_until_s = until_s
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="job-watch", daemon=True)
            self._thread.start()
        return job

    def _run(self) -> None:
        while app_ids := self._next_question():
            stamps = [self._stamp(app_id) for app_id in app_ids]
            answers: Answers = {}
            error: Exception | None = None
            try:
                answers = self._describe_many(app_ids)
            except Exception as caught:
                log.info("the batch system did not answer, asking again: %s", caught)
                error = caught
            with self._changed:
                self._take(app_ids, answers, error)
                self._changed.notify_all()
            self._pause(app_ids, stamps)

    def _pause(self, app_ids: Sequence[str], stamps: Sequence[object]) -> None:
        with self._changed:
            pause_s = self._pause_s
            self._pause_s = min(pause_s * _GROWTH, LONGEST_PAUSE_S)
            due_s = time.monotonic() + pause_s
            while not self._is_hurried and self._jobs:
                left_s = due_s - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(min(left_s, FIRST_PAUSE_S))
                if stamps != [self._stamp(app_id) for app_id in app_ids]:
                    self._pause_s = FIRST_PAUSE_S
                    return

    def _next_question(self) -> list[str]:
        with self._changed:
            now_s = time.monotonic()
            for app_id in [key for key, job in self._jobs.items() if job.wanted_until_s < now_s]:
                del self._jobs[app_id]
            self._is_hurried = False
            if self._jobs:
                self._asked += 1
            else:
                self._thread = None
            return list(self._jobs)

    def _take(self, app_ids: Sequence[str], answers: Answers, error: Exception | None) -> None:
        self._answered = self._asked
        self._error = error
        for app_id in () if error is not None else app_ids:
            job = self._jobs.get(app_id)
            if job is None:
                continue
            answer = answers.get(app_id)
            if _digest(answer) != _digest(job.answer):
                self._pause_s = FIRST_PAUSE_S
            job.answer, job.told_by = answer, self._asked


def _digest(answer: DescribeAppResponse | None) -> object:
    if answer is None:
        return None
    return answer.state, answer.num_restarts
