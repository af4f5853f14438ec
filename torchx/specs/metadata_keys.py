"""Spellings that jobs, launchers and services agree on. They never change."""

from __future__ import annotations

TORCHX_CONTEXT_NAME = "TORCHX_CONTEXT_NAME"
"""Environment variable that names the calling context (a notebook, a pipeline, a service)."""

NA = "<<NA>>"
"""Stands for a value that is not available."""


class app_metadata:
    """Keys of ``AppDef.metadata`` that describe a launch."""

    CONTEXT = "torchx/context"
    """Name of the calling context."""

    VERSION = "torchx/version"
    """Version of torchx that launched the app."""

    SCHEDULER = "torchx/scheduler"
    """Name of the scheduler."""

    ROLES_PREFIX = "torchx/roles."
    """Prefix of the keys of one role, ``torchx/roles.ROLE...``; ROLE has no ``.`` and no ``/``."""
