"""The steps between an app and the request that a scheduler makes of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torchx.runner.compat import call_with_accepted
from torchx.runner.prepare import override_workspace, warn_of_unused_workspace
from torchx.schedulers.abilities import PreviewsWorkspaces
from torchx.schedulers.api import Scheduler
from torchx.specs import AppDef, CfgVal, Workspace, runopts
from torchx.workspace.api import WorkspaceMixin

if TYPE_CHECKING:
    from torchx.workspace.preview import WorkspacePreview

logger: logging.Logger = logging.getLogger(__name__)


_previews: ContextVar[list[WorkspacePreview] | None] = ContextVar("previews", default=None)


@contextlib.contextmanager
def previewed_workspaces() -> Iterator[list[WorkspacePreview]]:
    """Keeps dry runs in the ``with`` block from building workspaces, where that can be avoided.

    The requests that they make are to be shown, not submitted: images that do not exist yet have
    names that only stand for them.

    Yields:
        A list that receives what would be sent along.
    """
    found: list[WorkspacePreview] = []
    token = _previews.set(found)
    try:
        yield found
    finally:
        _previews.reset(token)


def resolve_cfg(
    sched: Scheduler[Any], scheduler: str, cfg: Mapping[str, CfgVal]
) -> dict[str, CfgVal]:
    """Completes and checks run options, and warns about unknown ones.

    Args:
        sched: The scheduler.
        scheduler: Its name.
        cfg: Run options as the caller gave them.

    Returns:
        Run options with defaults.

    Raises:
        InvalidRunConfigException: An option is missing or of the wrong type.
    """
    opts = sched.run_opts()
    if isinstance(opts, runopts) and isinstance(cfg, Mapping):
        for key, closest in opts.unknown_keys(cfg).items():
            logger.warning(
                "scheduler `%s` has no run option `%s`%s",
                scheduler,
                key,
                f", did you mean `{closest}`?" if closest else "",
            )
    return opts.resolve(cfg)


def build_and_validate(
    sched: Scheduler[Any],
    scheduler: str,
    app: AppDef,
    cfg: Mapping[str, CfgVal],
    workspace: Workspace | str | None,
) -> None:
    """Builds the workspaces of an app and lets the scheduler check it.

    Args:
        sched: The scheduler.
        scheduler: Its name.
        app: The copy to submit, changed in place.
        cfg: Resolved run options.
        workspace: Local code to lay over the image of the first role.

    Raises:
        ValueError: The scheduler cannot run the app.
    """
    call_with_accepted(sched._pre_build_validate, app, scheduler, cfg)
    # The checks of the base class do not depend on what a build changes, and a build takes minutes.
    checks_first = getattr(type(sched), "_validate", None) is Scheduler._validate
    if checks_first:
        sched._validate(app, scheduler, cfg)
    if isinstance(sched, WorkspaceMixin):
        if workspace:
            override_workspace(app, workspace)
        _build_or_preview(sched, app, cfg)
    elif workspace:
        warn_of_unused_workspace(scheduler, workspace)
    if not checks_first:
        call_with_accepted(sched._validate, app, scheduler, cfg)


def _build_or_preview(sched: WorkspaceMixin[Any], app: AppDef, cfg: Mapping[str, CfgVal]) -> None:
    previews = _previews.get()
    if previews is not None and isinstance(sched, PreviewsWorkspaces):
        found = sched.preview_workspaces(app.roles, cfg)
        if found is not None:
            previews += found
            return
    sched.build_workspaces(app.roles, cfg)
