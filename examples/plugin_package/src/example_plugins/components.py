"""Components; the group of the entry point comes first in their names: ``example.greet``."""

from __future__ import annotations

import torchx.specs as specs


def greet(name: str, h: str = "example.box") -> specs.AppDef:
    """Greets somebody.

    Args:
        name: whom to greet
        h: named resource to run on
    """
    role = specs.Role(
        name="greeter",
        image="",
        entrypoint="echo",
        args=["hello", name, "from", specs.macros.app_id],
        resource=specs.resource(h=h),
    )
    return specs.AppDef(name="greet", roles=[role])
