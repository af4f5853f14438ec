"""Abilities that only some back ends have. Callers ask for them by ``isinstance``.

A scheduler has an ability by having its method; it need not derive from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torchx.schedulers.api import DescribeAppResponse
    from torchx.specs.api import AppDryRunInfo, CfgVal, Role
    from torchx.workspace.preview import WorkspacePreview

__all__ = [
    "DescribesMany",
    "FindsSubmissions",
    "LocatesLogs",
    "PlansAppIds",
    "PreviewsWorkspaces",
]


@runtime_checkable
class PlansAppIds(Protocol):
    """Knows the id of an app before it is submitted, because torchx chooses it."""

    def planned_app_id(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        """Names the id that :meth:`Scheduler.schedule` will return for a request.

        The runner records it before it submits, so that a launcher that is killed in between
        leaves a job that can be asked for.

        Args:
            dryrun_info: The request, as it is about to be submitted.

        Returns:
            The id.
        """
        ...


@runtime_checkable
class FindsSubmissions(Protocol):
    """Gives ids of its own, but can find a job by a mark that its submission carried."""

    def find_submission(self, submission_id: str) -> str | None:
        """Looks for the job that a submission made.

        Args:
            submission_id: What ``AppDryRunInfo._submission_id`` held when the request was handed
                to :meth:`Scheduler.schedule`, which stored it with the job.

        Returns:
            Id of the app, or ``None`` if the submission never arrived.
        """
        ...


@runtime_checkable
class DescribesMany(Protocol):
    """Describes any number of apps with a constant number of queries."""

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps, as :meth:`Scheduler.describe` does for one.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id. An app that the back end does not know is left out; roles and
            statuses of replicas may be missing.
        """
        ...


@runtime_checkable
class LocatesLogs(Protocol):
    """Knows where the logs of an app lie."""

    def log_location(self, app_id: str, dryrun_info: AppDryRunInfo[Any]) -> str | None:
        """Names the place that people would look at.

        Args:
            app_id: Id of the app, as :meth:`Scheduler.schedule` returned it.
            dryrun_info: The request that was submitted.

        Returns:
            An absolute directory or an address; ``None`` if there is none for this app.
        """
        ...


@runtime_checkable
class PreviewsWorkspaces(Protocol):
    """Can tell what building workspaces would send along, without building them."""

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        """Stands in for :meth:`WorkspaceMixin.build_workspaces` in a dry run.

        Args:
            roles: The roles; they are given the images that they would get, or names that stand
                for those.
            cfg: Resolved run config.

        Returns:
            A preview for each workspace; ``None`` if it cannot be told, so that the workspaces
            have to be built.
        """
        ...
