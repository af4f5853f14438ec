"""Registers the scheduler by a decorator; the imports of its back end stay inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchx.plugins import register

if TYPE_CHECKING:
    from example_plugins.scheduler import ExampleScheduler


@register.scheduler()
def example_too(session_name: str, **kwargs: object) -> ExampleScheduler:
    """Creates the scheduler.

    Args:
        session_name: Name under which the client submits apps.
        kwargs: Parameters of other schedulers.

    Returns:
        The scheduler.
    """
    from example_plugins.scheduler import create_scheduler

    return create_scheduler(session_name, **kwargs)
