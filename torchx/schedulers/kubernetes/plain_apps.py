"""Finds, describes, ends and removes apps that are plain Jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.kubernetes import parse, paths
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes.labels import LABEL_APP_NAME, clean_label_value
from torchx.schedulers.kubernetes.parse import ANNOTATION_CANCELLED, Background, Job
from torchx.schedulers.kubernetes.pods import Pod, read_pods
from torchx.schedulers.kubernetes.reasons import waiting
from torchx.schedulers.kubernetes.watch import Listing, version_of
from torchx.schedulers.kubernetes.wire import Json, Wire
from torchx.specs.api import AppState, ReplicaState, is_terminal

log: logging.Logger = logging.getLogger(__name__)

_LABEL_KUEUE_JOB = "kueue.x-k8s.io/job-uid"
_EXPLAINED_OBJECTS = 2
_MISSING = 404


class PlainApps:
    """Apps that are plain Jobs, found by their labels.

    Args:
        wire: Gives what sends requests.
    """

    def __init__(self, wire: Callable[[], Wire]) -> None:
        self._wire = wire

    def find(self, namespace: str, name: str) -> tuple[list[Job], int]:
        """Finds the Jobs of an app with one request.

        Args:
            namespace: Its namespace.
            name: Its unique name.

        Returns:
            Its Jobs, none if there is no such app, and their highest resource version.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        objects = self._list(
            paths.jobs(namespace), f"list jobs in namespace {namespace}", paths.of_app(name)
        )
        jobs = parse.read_jobs(objects).get(clean_label_value(name), [])
        return jobs, max(map(version_of, objects), default=0)

    def describe(self, app_id: str, namespace: str, jobs: Sequence[Job]) -> DescribeAppResponse:
        """Describes an app with one more request, and a few more if it waits.

        Args:
            app_id: Its id.
            namespace: Its namespace.
            jobs: Its Jobs.

        Returns:
            The description.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        pods = self.pods(namespace, jobs[0].app)
        state = parse.app_state(jobs, pods)
        background = Background()
        if not is_terminal(state):
            background = self._background(namespace, jobs, pods)
        elif state == AppState.FAILED and all(pod.state != ReplicaState.FAILED for pod in pods):
            background = Background(events=self._preemptions(namespace))
        return parse.describe(app_id, jobs, pods, background)

    def describe_all(self, namespace: str) -> dict[str, DescribeAppResponse]:
        """Describes all apps of a namespace with one request, from their Jobs alone.

        Args:
            namespace: The namespace.

        Returns:
            Unique name of an app -> its description.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        objects = self._list(
            paths.jobs(namespace), f"list jobs in namespace {namespace}", paths.OURS
        )
        return {
            name: parse.describe(f"{namespace}:{name}", jobs, (), Background())
            for name, jobs in parse.read_jobs(objects).items()
        }

    def list_apps(self, namespace: str) -> list[ListAppResponse]:
        """Lists the apps of a namespace with one request.

        Args:
            namespace: The namespace.

        Returns:
            One entry per app.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        objects = self._list(
            paths.jobs(namespace), f"list jobs in namespace {namespace}", paths.OURS
        )
        names = {
            item["metadata"]["name"]: (item["metadata"].get("labels") or {}).get(LABEL_APP_NAME)
            for item in objects
        }
        return [
            ListAppResponse(
                app_id=f"{namespace}:{name}",
                state=parse.app_state(jobs),
                name=names.get(jobs[0].name) or "",
            )
            for name, jobs in parse.read_jobs(objects).items()
        ]

    def cancel(self, namespace: str, jobs: Sequence[Job]) -> None:
        """Ends the Jobs of an app that have not ended: their pods are told to end, and they stay.

        A deadline ends a Job whatever its pods do, and its end releases quota. (A Job that is
        suspended instead would be resumed by Kueue, and kept for ever.)

        Args:
            namespace: Its namespace.
            jobs: Its Jobs.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for job in jobs:
            if is_terminal(job.state):
                continue
            body = {
                "metadata": {"annotations": {ANNOTATION_CANCELLED: job.cancelled_at or now}},
                "spec": {"activeDeadlineSeconds": 1},
            }
            self._unless_gone(
                lambda job=job, body=body: self._wire().patch(  # type: ignore[misc]  # bound now
                    paths.jobs(namespace, job.name), f"cancel the job {job.name}", body
                )
            )
            if job.is_suspended and job.queue:
                self._leave_queue(namespace, job)

    def delete(self, namespace: str, jobs: Sequence[Job]) -> None:
        """Removes the Jobs of an app with their pods, and all that the first one owns.

        Args:
            namespace: Its namespace.
            jobs: Its Jobs.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        # The first one is the owner of the others: while it is there, the app is known.
        for job in reversed(jobs):
            self._unless_gone(
                lambda job=job: self._wire().delete(  # type: ignore[misc]  # bound now
                    paths.jobs(namespace, job.name),
                    f"delete the job {job.name}",
                    propagationPolicy="Background",
                )
            )

    def pods(self, namespace: str, name: str) -> list[Pod]:
        """Reads the pods of an app with one request.

        Args:
            namespace: Its namespace.
            name: Its unique name.

        Returns:
            Its pods, the oldest first.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        what = f"list pods in namespace {namespace}"
        return read_pods(self._list(paths.pods(namespace), what, paths.of_app(name)))

    def _background(self, namespace: str, jobs: Sequence[Job], pods: Sequence[Pod]) -> Background:
        have_pods = {pod.job for pod in pods}
        unexplained = [
            job.name for job in jobs if job.name not in have_pods and not job.is_suspended
        ]
        unexplained += [
            pod.name for pod in pods if pod.phase == "Pending" and not waiting(pod) and pod.node
        ]
        queued = [job for job in jobs if job.is_suspended and job.queue]
        return Background(
            events={
                name: self._warnings(namespace, name) for name in unexplained[:_EXPLAINED_OBJECTS]
            },
            workloads=self._workloads(namespace, queued[0]) if queued else (),
        )

    def _warnings(self, namespace: str, name: str) -> list[Json]:
        fields = f"involvedObject.name={name},type=Warning"
        return self._optional(
            paths.events(namespace), f"list events in namespace {namespace}", fieldSelector=fields
        )

    def _preemptions(self, namespace: str) -> dict[str, list[Json]]:
        """Of a pod that was preempted nothing is left but an event."""
        events = self._optional(
            paths.events(namespace),
            f"list events in namespace {namespace}",
            fieldSelector="reason=Preempted",
        )
        return {str((event.get("involvedObject") or {}).get("name")): [event] for event in events}

    def _workloads(self, namespace: str, job: Job) -> list[Json]:
        return self._optional(
            paths.workloads(namespace),
            f"list workloads in namespace {namespace}",
            labelSelector=f"{_LABEL_KUEUE_JOB}={job.uid}",
        )

    def _leave_queue(self, namespace: str, job: Job) -> None:
        for workload in self._workloads(namespace, job):
            name = workload["metadata"]["name"]
            try:
                self._wire().patch(
                    paths.workloads(namespace, name),
                    f"take the job {job.name} out of its queue",
                    {"spec": {"active": False}},
                )
            except KubernetesError as error:
                log.warning(
                    "the job stays in its queue, and will be ended as soon as it starts: %s", error
                )

    def _optional(self, path: str, what: str, **query: str) -> list[Json]:
        """Reads what only explains: without the right to do so, there is less to tell."""
        try:
            items = self._wire().get(path, what, **query).get("items")
        except KubernetesError as error:
            log.debug("no explanation: %s", error)
            return []
        return list(items or ())

    def _list(self, path: str, what: str, selector: str) -> list[Json]:
        return list(self._wire().get(path, what, labelSelector=selector).get("items") or ())

    def _unless_gone(self, act: Callable[[], object]) -> None:
        try:
            act()
        except KubernetesError as error:
            if error.status != _MISSING:
                raise


def jobs_listing(namespace: str) -> Listing[Job]:
    """Describes the list that is watched for plain Jobs of any number of apps.

    Args:
        namespace: The namespace.

    Returns:
        The list.
    """
    return Listing(
        path=paths.jobs(namespace),
        what=f"jobs in namespace {namespace}",
        selector=paths.OURS,
        read=parse.read_job,
        app_of=lambda item: parse.read_job(item).app,
    )


def is_over(jobs: Sequence[Job]) -> bool:
    """Tells whether an app has ended.

    Args:
        jobs: Its Jobs; none if it is gone.

    Returns:
        True if it has.
    """
    return (
        not jobs
        or is_terminal(parse.app_state(jobs))
        or all(job.state in (AppState.SUCCEEDED, AppState.FAILED) for job in jobs)
    )
