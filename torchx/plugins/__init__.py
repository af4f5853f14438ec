"""Schedulers, named resources, trackers and event handlers that other packages provide.

A package registers them as entry points, or by a decorator in a module of the namespace package
``torchx_plugins``::

    # torchx_plugins/schedulers/demo.py, without an __init__.py anywhere above
    from torchx.plugins import register


    @register.scheduler()
    def demo(session_name: str, **kwargs: object) -> Scheduler: ...

``torchx plugins`` shows what was found, and what could not be loaded.
"""

from __future__ import annotations

from torchx.plugins._registration import (
    EIGHTH,
    HALF,
    QUARTER,
    SIXTEENTH,
    WHOLE,
    halve_mem_down_to,
    powers_of_two_gpus,
    register,
    resource_tags,
)
from torchx.plugins._registry import PluginRegistry, PluginType, RegistrationError, registry

__all__ = [
    "EIGHTH",
    "HALF",
    "QUARTER",
    "SIXTEENTH",
    "WHOLE",
    "PluginRegistry",
    "PluginType",
    "RegistrationError",
    "halve_mem_down_to",
    "powers_of_two_gpus",
    "register",
    "registry",
    "resource_tags",
]
