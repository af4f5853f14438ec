"""Fills events in. Nothing here may raise: a submitted job must not be lost over its record."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from torchx.runner.events import log_event
from torchx.specs import AppDef

logger: logging.Logger = logging.getLogger(__name__)


def runcfg_json(cfg: object) -> str | None:
    """Returns run options as the text that events carry.

    Args:
        cfg: Run options: a mapping, or an object that a scheduler of another package uses instead.

    Returns:
        JSON, or None if there are no options or they cannot be told.
    """
    try:
        if not cfg:
            return None
        options = dict(cfg) if isinstance(cfg, Mapping) else getattr(cfg, "__dict__", str(cfg))
        import json

        return json.dumps(options, default=str)
    except Exception:
        logger.exception("run options could not be put into an event")
        return None


def note_app(
    ctx: log_event,
    scheduler: str,
    app_id: str,
    app: AppDef | None,
    runcfg: str | None = None,
) -> None:
    """Adds to an event which app its call was about.

    Args:
        ctx: The open event.
        scheduler: Name of the scheduler.
        app_id: Id of the app, or its name if it has none yet.
        app: The app, if known.
        runcfg: JSON of the run options; None leaves the ones that the event has.
    """
    try:
        event = ctx._torchx_event
        event.scheduler = scheduler
        event.app_id = app_id
        if runcfg is not None:
            event.runcfg = runcfg
        if app is not None:
            event.app_image = app.roles[0].image if app.roles else None
            event.app_metadata = app.metadata
    except Exception:
        logger.exception("an event could not be completed")
