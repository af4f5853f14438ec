"""What a scheduler is: the base class of all back ends, and what its methods return."""

from __future__ import annotations

import abc
import builtins
import time
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from torchx.schedulers.lines import filter_regex, split_lines, split_lines_iterator
from torchx.schedulers.structured_opts import StructuredOpts
from torchx.specs.api import (
    NONE,
    NULL_RESOURCE,
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    Role,
    RoleStatus,
    Workspace,
    cases,
    runopts,
)
from torchx.util.records import record
from torchx.workspace.api import WorkspaceMixin

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "DAYS_IN_2_WEEKS",
    "NONE",
    "NULL_RESOURCE",
    "AppDef",
    "AppDryRunInfo",
    "AppState",
    "CfgVal",
    "DescribeAppResponse",
    "ListAppResponse",
    "Role",
    "RoleStatus",
    "Scheduler",
    "Stream",
    "StructuredOpts",
    "T",
    "Workspace",
    "WorkspaceMixin",
    "cases",
    "filter_regex",
    "runopts",
    "split_lines",
    "split_lines_iterator",
]

DAYS_IN_2_WEEKS = 14
"""How far back, in days, back ends without an own limit look when they list jobs."""

T = TypeVar("T")
"""Type of the run config of a scheduler."""

_FIRST_PAUSE_S = 0.5


class Stream(str, Enum):
    """The output streams of a replica."""

    STDOUT = "stdout"
    STDERR = "stderr"
    COMBINED = "combined"


@record
class DescribeAppResponse:
    """What a scheduler knows about an app.

    Attributes:
        app_id: Id the scheduler gave to it.
        state: State of the whole app.
        num_restarts: How often it was restarted; -1 if the back end does not say.
        msg: The state for a person: the reason why it waits or failed.
        structured_error_msg: JSON of the error file of the replica that failed first.
        ui_url: Page of the back end about it.
        metadata: More that the back end tells.
        roles_statuses: Statuses of the replicas by role.
        roles: The roles, as far as the back end can tell them.
    """

    app_id: str = "<NOT_SET>"
    state: AppState = AppState.UNSUBMITTED
    num_restarts: int = -1
    msg: str = NONE
    structured_error_msg: str = NONE
    ui_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    roles_statuses: list[RoleStatus] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)


@record
class ListAppResponse:
    """One line of a list of apps.

    Attributes:
        app_id: Id the scheduler gave to it.
        state: State of the whole app.
        app_handle: Handle, filled in by the runner.
        name: Name of the app, ``""`` if the back end does not say.
    """

    app_id: str
    state: AppState
    app_handle: str = "<NOT_SET>"
    name: str = ""

    def __hash__(self) -> int:
        return hash((self.app_id, self.app_handle, self.state))


class Scheduler(abc.ABC, Generic[T]):
    """One back end that runs apps.

    A back end implements ``_submit_dryrun``, ``schedule``, ``describe``, ``list`` and
    ``_cancel_existing``; the rest has defaults. ``T`` is the type of its run config, a mapping or
    a :class:`StructuredOpts`.

    Args:
        backend: Name of the back end, given to ``Role.pre_proc``.
        session_name: Name under which this client submits apps.

    Attributes:
        backend: Name of the back end.
        session_name: Name under which this client submits apps.
    """

    def __init__(self, backend: str, session_name: str) -> None:
        self.backend = backend
        self.session_name = session_name

    @abc.abstractmethod
    def _submit_dryrun(self, app: AppDef, cfg: T) -> AppDryRunInfo[Any]:
        """Builds the native request for an app, without any effect.

        Args:
            app: The app; must not be changed.
            cfg: Resolved run config, as a plain dict.

        Returns:
            The request, which prints as what would be sent.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        """Submits a request made by :meth:`submit_dryrun`.

        Args:
            dryrun_info: The request.

        Returns:
            The id of the app.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app.

        Args:
            app_id: Its id.

        Returns:
            Its description; ``None`` if there is no such app.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps of this back end.

        Args:
            cfg: Run config that says where to look; ``None`` for the defaults.

        Returns:
            One entry per app.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def _cancel_existing(self, app_id: str) -> None:
        """Cancels an app that exists.

        Args:
            app_id: Its id.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Frees what the scheduler holds. Repeatable."""

    def submit(self, app: AppDef, cfg: T, workspace: str | Workspace | None = None) -> str:
        """Builds the request for an app and submits it, without the checks of a runner.

        Args:
            app: The app.
            cfg: Run config.
            workspace: Local code to lay over the image of the first role.

        Returns:
            The id of the app.

        Raises:
            InvalidRunConfigException: If the run config is wrong.
            ValueError: If a workspace is given and this back end has none.
        """
        resolved = self._resolve(cfg)
        if workspace:
            if not isinstance(self, WorkspaceMixin):
                raise ValueError(
                    f"cannot submit `{app.name}` with a workspace: the scheduler"
                    f" `{self.backend}` does not support workspaces; submit it without one"
                )
            if isinstance(workspace, str):
                workspace = Workspace.from_str(workspace)
            app.roles[0].workspace = workspace
            self.build_workspaces(app.roles, resolved)
        return self.schedule(self.submit_dryrun(app, cast(T, resolved)))

    def submit_dryrun(self, app: AppDef, cfg: T) -> AppDryRunInfo[Any]:
        """Builds the request for an app, as it would be submitted.

        Args:
            app: The app.
            cfg: Run config.

        Returns:
            The request, after each role had its chance to change it (``Role.pre_proc``).

        Raises:
            InvalidRunConfigException: If the run config is wrong.
        """
        resolved = self._resolve(cfg)
        info = self._submit_dryrun(app, cast(T, resolved))
        for role in app.roles:
            info = role.pre_proc(self.backend, info)
        info._app = app
        info._cfg = resolved
        return info

    def run_opts(self) -> runopts:
        """Declares the run options of this back end, those of its workspace included.

        Returns:
            The run options.
        """
        opts = self._run_opts()
        if isinstance(self, WorkspaceMixin):
            opts.update(self.workspace_opts())
        return opts

    def _run_opts(self) -> runopts:
        """Declares the run options of the back end alone.

        Returns:
            The run options.
        """
        return runopts()

    def exists(self, app_id: str) -> bool:
        """Tells whether the back end knows an app.

        Args:
            app_id: Its id.

        Returns:
            True if it does.
        """
        return self.describe(app_id) is not None

    def cancel(self, app_id: str) -> None:
        """Cancels an app; does nothing if there is none.

        Args:
            app_id: Its id.
        """
        if self.exists(app_id):
            self._cancel_existing(app_id)

    def delete(self, app_id: str) -> None:
        """Removes an app from the back end; does nothing if there is none.

        Args:
            app_id: Its id.
        """
        if self.exists(app_id):
            self._delete_existing(app_id)

    def _delete_existing(self, app_id: str) -> None:
        """Removes an app that exists; where a back end forgets by itself, cancelling will do.

        Args:
            app_id: Its id.
        """
        self._cancel_existing(app_id)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since this process last described it.

        The base class sleeps: half a second at first, then twice as long each time that it is
        called again at once for the same app.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait.
        """
        # Not set by the constructor, which not every subclass out there calls.
        pauses: dict[str, tuple[float, float]] = vars(self).setdefault("_pauses", {})
        pause_s, ended_at_s = pauses.get(app_id, (0.0, 0.0))
        was_called_again_at_once = time.monotonic() - ended_at_s < max(pause_s, _FIRST_PAUSE_S)
        pause_s = 2 * pause_s if pause_s and was_called_again_at_once else _FIRST_PAUSE_S
        pause_s = min(pause_s, timeout_s)
        time.sleep(max(0.0, pause_s))
        pauses[app_id] = (pause_s, time.monotonic())

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        r"""Reads the log of one replica.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Index of the replica within the role.
            regex: Keep only lines in which this is found (``re.search``).
            since: Keep only what was written from then on, as far as the back end can tell.
            until: Keep only what was written before, as far as the back end can tell.
            should_tail: Go on until the app has ended, instead of to the end of what is there.
            streams: Which output; ``None`` means both.

        Returns:
            The lines with their ``\n``, which the last one may lack.

        Raises:
            NotImplementedError: If this back end has no logs.
        """
        raise NotImplementedError(
            f"{type(self).__qualname__} does not support application log iteration"
        )

    def _pre_build_validate(self, app: AppDef, scheduler: str, cfg: T) -> None:
        """Checks an app before its workspaces are built.

        Args:
            app: The app.
            scheduler: Name under which this scheduler is registered.
            cfg: Resolved run config.

        Raises:
            ValueError: If the back end cannot run it.
        """

    def _validate(self, app: AppDef, scheduler: str, cfg: T | None = None) -> None:
        """Checks an app after its workspaces were built.

        Args:
            app: The app.
            scheduler: Name under which this scheduler is registered.
            cfg: Resolved run config.

        Raises:
            ValueError: If the back end cannot run it.
        """
        for role in app.roles:
            if role.resource == NULL_RESOURCE:
                raise ValueError(
                    f"no resource for role `{role.name}` (image `{role.image}`), which the"
                    f" scheduler `{scheduler}` needs; did you forget to attach a resource to it?"
                )

    def _resolve(self, cfg: T) -> dict[str, CfgVal]:
        return self.run_opts().resolve(cast("Mapping[str, CfgVal]", cfg))
