"""Registers the tracker by a decorator."""

from __future__ import annotations

from example_plugins.tracker import FileTracker, create

from torchx.plugins import register


@register.tracker()
def example_too(config: str | None) -> FileTracker:
    """Creates the tracker.

    Args:
        config: The directory.

    Returns:
        The tracker.
    """
    return create(config)
