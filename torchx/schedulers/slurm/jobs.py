"""Joins what Slurm tells about jobs with what torchx keeps about them."""

from __future__ import annotations

import contextlib
import getpass
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torchx.schedulers import error_files
from torchx.schedulers.api import DAYS_IN_2_WEEKS, DescribeAppResponse, ListAppResponse
from torchx.schedulers.slurm import answers, client, parse, queries, store
from torchx.schedulers.slurm.client import SlurmError, UnknownJobError
from torchx.schedulers.slurm.mark import Mark
from torchx.schedulers.slurm.records import JobRecord, group_by_app
from torchx.specs.api import NONE, AppState, Resource, RetryPolicy, Role, is_terminal

log: logging.Logger = logging.getLogger(__name__)

SINCE = f"now-{DAYS_IN_2_WEEKS}days"
"""How far back jobs are listed, as sacct writes it."""

_MOST_REMEMBERED = 10_000


class Jobs:
    """What one scheduler object has learnt about jobs. Callable from any thread."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}

    def learn(self, app_id: str, records: Sequence[JobRecord]) -> None:
        """Remembers what the comment of a job says.

        Args:
            app_id: Id of the app.
            records: Components of its job.
        """
        mark = next((found for record in records if (found := record.mark) is not None), None)
        if mark is not None:
            self.remember(app_id, mark)

    def remember(self, app_id: str, mark: Mark) -> None:
        """Remembers what torchx noted about a job.

        Args:
            app_id: Id of the app.
            mark: What the comment of its job says.
        """
        while len(self._marks) >= _MOST_REMEMBERED:
            self._marks.pop(next(iter(self._marks)), None)
        self._marks[app_id] = mark

    def mark_of(self, app_id: str) -> Mark | None:
        """Finds out what torchx noted about a job, asking Slurm if it must.

        Args:
            app_id: Id of the app.

        Returns:
            What its comment says; ``None`` if torchx did not make the job or cannot know.
        """
        mark = self._known_mark(app_id)
        if mark is None:
            with contextlib.suppress(SlurmError):
                self.learn(app_id, self.records([app_id]).get(app_id, ()))
            mark = self._marks.get(app_id)
        return mark

    def records(self, app_ids: Sequence[str]) -> dict[str, list[JobRecord]]:
        """Asks about any number of jobs: the queue once, and accounting once for the rest.

        Args:
            app_ids: Ids of the apps.

        Returns:
            Components by app id, of those that Slurm knows.

        Raises:
            SlurmError: Nothing could be found out.
        """
        found: dict[str, list[JobRecord]] = {}
        unreachable: SlurmError | None = None
        try:
            found = group_by_app(parse.read_squeue(client.run(queries.squeue(app_ids))))
        except UnknownJobError:
            log.debug("the queue has none of %d jobs", len(app_ids))
        except SlurmError as error:
            unreachable = error
        missing = [app_id for app_id in app_ids if app_id not in found]
        if missing:
            try:
                ended = parse.read_sacct(client.run(queries.sacct(missing)))
            except SlurmError as error:
                log.debug("accounting does not answer: %s", error)
                ended = []
            found.update(group_by_app(ended))
        if unreachable is not None and any(app_id not in found for app_id in missing):
            # What nobody told about may well be there.
            raise unreachable
        return {app_id: found[app_id] for app_id in app_ids if app_id in found}

    def describe_many(self, app_ids: Sequence[str]) -> dict[str, DescribeAppResponse]:
        """Describes any number of jobs.

        Args:
            app_ids: Ids of the apps.

        Returns:
            Description by id, of those that are known.

        Raises:
            SlurmError: Nothing could be found out.
        """
        if not app_ids:
            return {}
        records = self.records(app_ids)
        described = {}
        for app_id in app_ids:
            response = self.completed(app_id, self.read(app_id, records.get(app_id, ())))
            if response is not None:
                described[app_id] = response
        return described

    def read(self, app_id: str, records: Sequence[JobRecord]) -> DescribeAppResponse | None:
        """Describes a job by what Slurm tells about it.

        Args:
            app_id: Id of the app.
            records: Its components.

        Returns:
            The description, or ``None`` if there are no components.
        """
        if not records:
            return None
        self.learn(app_id, records)
        mark = self._known_mark(app_id)
        if mark is not None:
            records = answers.with_known_comment(records, str(mark))
        response = answers.describe(records)
        response.app_id = app_id
        return response

    def completed(
        self, app_id: str, response: DescribeAppResponse | None
    ) -> DescribeAppResponse | None:
        """Adds what torchx itself keeps about a job.

        Args:
            app_id: Id of the app.
            response: What Slurm tells; ``None`` if it does not know the job (any more).

        Returns:
            The description; ``None`` if there is no such job, or it was deleted.
        """
        mark = self._known_mark(app_id)
        if store.is_deleted(app_id, mark.submission_id if mark else None):
            return None
        notes = store.events(mark)
        if response is None:
            if mark is None:
                return None
            response = _left_the_queue(app_id, mark, notes)
        if notes:
            starts = [parse.number(note[len("start ") :], 0) for note in notes if "start " in note]
            again = sum(note.startswith("restart") for note in notes)
            response.num_restarts = max(response.num_restarts, *starts, 0) + again
        if response.state == AppState.FAILED:
            said = [note[len("said ") :] for note in notes if note.startswith("said ")]
            response.msg = answers.with_cause(response.msg, said[-1] if said else "")
            told = error_files.first_error(store.error_files(mark))
            if told != NONE:
                response.structured_error_msg = told
        _add_details(response.roles, store.kept_roles(mark))
        _add_hosts(response, mark)
        return response

    def stamp(self, app_id: str) -> object:
        """Tells without asking Slurm whether a job may have changed.

        Args:
            app_id: Id of the app.

        Returns:
            A value that changes when the batch script notes something.
        """
        return store.stamp(self._known_mark(app_id))

    def list_live(self) -> list[ListAppResponse]:
        """Lists the jobs of this user that are in the queue.

        Returns:
            One entry for each; none if the queue does not answer.
        """
        try:
            text = client.run(queries.squeue(user=getpass.getuser()))
        except SlurmError as error:
            log.debug("the queue does not answer: %s", error)
            return []
        return self.listed(parse.read_squeue(text))

    def listed(self, records: Sequence[JobRecord]) -> list[ListAppResponse]:
        """Makes a list of jobs, without those that were deleted.

        Args:
            records: Components of any jobs.

        Returns:
            One entry for each job.
        """
        listed = []
        for app_id, components in group_by_app(records).items():
            self.learn(app_id, components)
            mark = self._known_mark(app_id)
            if not store.is_deleted(app_id, mark.submission_id if mark else None):
                listed.append(answers.list_entry(components))
        return listed

    def find_submission(self, submission_id: str) -> str | None:
        """Looks for the job that a submission made.

        Args:
            submission_id: What the submission was called.

        Returns:
            Id of the app, or ``None``.

        Raises:
            SlurmError: The queue could not be asked.
        """
        records = parse.read_squeue(client.run(queries.squeue(user=getpass.getuser())))
        app_id = self._made_by(submission_id, records)
        if app_id is None:
            with contextlib.suppress(SlurmError):
                text = client.run([*queries.sacct(since=SINCE), f"--user={getpass.getuser()}"])
                app_id = self._made_by(submission_id, parse.read_sacct(text))
        return app_id

    def delete(self, app_id: str) -> None:
        """Removes what is kept about a job.

        Args:
            app_id: Id of the app.
        """
        store.forget(app_id, self.mark_of(app_id))
        self._marks.pop(app_id, None)

    def _made_by(self, submission_id: str, records: Sequence[JobRecord]) -> str | None:
        for record in records:
            mark = record.mark
            if mark is not None and mark.submission_id == submission_id:
                self.remember(record.app_id, mark)
                return record.app_id
        return None

    def _known_mark(self, app_id: str) -> Mark | None:
        mark = self._marks.get(app_id) or store.recall(app_id)
        if mark is not None:
            self._marks[app_id] = mark
        return mark


def _left_the_queue(app_id: str, mark: Mark, notes: Sequence[str]) -> DescribeAppResponse:
    response = DescribeAppResponse(app_id=app_id, state=AppState.FAILED)
    end = next((note for note in reversed(notes) if note.startswith(("end ", "cancel"))), "")
    if end == "end 0":
        response.state = AppState.SUCCEEDED
    elif end.startswith("cancel"):
        response.state, response.msg = AppState.CANCELLED, "CANCELLED: cancelled"
    elif end:
        response.msg = f"FAILED: exit code {end[len('end ') :]}"
    else:
        response.msg = "FAILED: it left the queue without a word, and accounting does not know it"
    comment = str(mark)
    parts = range(len(mark.parts))
    described = answers.describe([JobRecord(app_id, part, comment=comment) for part in parts])
    response.roles, response.roles_statuses = described.roles, described.roles_statuses
    for status in response.roles_statuses:
        for replica in status.replicas:
            replica.state = response.state
    return response


def _add_hosts(response: DescribeAppResponse, mark: Mark | None) -> None:
    """Replaces lists of nodes, which Slurm tells of replicas that share nodes, by their hosts."""
    replicas = [replica for status in response.roles_statuses for replica in status.replicas]
    vague = [replica for replica in replicas if set(replica.hostname) & set("[,")]
    if mark is None or not vague:
        return
    hosts = {mark.replicas()[number]: host for number, host in store.hosts(mark).items()}
    for replica in vague:
        host = hosts.get((replica.role, replica.id), replica.hostname)
        replica.hostname = replica.hostaddr = host


def _add_details(roles: Sequence[Role], kept: Sequence[Mapping[str, Any]]) -> None:
    by_name = {str(details.get("name")): details for details in kept}
    for role in roles:
        details = by_name.get(role.name)
        if details is None:
            continue
        role.image = str(details.get("image", ""))
        role.entrypoint = str(details.get("entrypoint", ""))
        role.args = [str(arg) for arg in details.get("args", ())]
        role.max_retries = int(details.get("max_retries", 0))
        policy = str(details.get("retry_policy"))
        role.retry_policy = RetryPolicy.__members__.get(policy, RetryPolicy.APPLICATION)
        role.resource = Resource(
            cpu=int(details.get("cpu", -1)),
            gpu=int(details.get("gpu", -1)),
            memMB=int(details.get("memory_mib", -1)),
        )


def ended(response: DescribeAppResponse | None) -> bool:
    """Tells whether an app is over.

    Args:
        response: Its description, or ``None``.

    Returns:
        True if it has ended or does not exist.
    """
    return response is None or is_terminal(response.state)
