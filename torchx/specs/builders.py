"""Making an :py:class:`~torchx.specs.AppDef` from a component function and its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from torchx.specs.app import AppDef
from torchx.specs.arguments import (
    ComponentArgs,
    ComponentArgumentError,
    component_args_from_str,
    create_args_parser,
    parse_args,
)
from torchx.specs.handle import make_app_handle
from torchx.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount, parse_mounts

__all__ = [
    "AppDef",
    "BindMount",
    "ComponentArgs",
    "ComponentArgumentError",
    "DeviceMount",
    "MountType",
    "VolumeMount",
    "component_args_from_str",
    "make_app_handle",
    "materialize_appdef",
    "parse_args",
    "parse_mounts",
]


def materialize_appdef(
    cmpnt_fn: Callable[..., AppDef],
    cmpnt_args: list[str],
    cmpnt_defaults: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> AppDef:
    """Calls a component with arguments from a command line and from configuration.

    The command line wins over ``config``, that over ``cmpnt_defaults``, and that over the defaults
    of the signature.

    Args:
        cmpnt_fn: The component.
        cmpnt_args: The words of the command line, without the component's name.
        cmpnt_defaults: Configured defaults, as text.
        config: Typed values, as JSON has them.

    Returns:
        The job that the component describes.

    Raises:
        ComponentArgumentError: If an argument is unknown or does not fit.
        TypeError: If the component returns something else than an ``AppDef``.

    Example:
        >>> from torchx.components.utils import echo
        >>> materialize_appdef(echo, ["--msg", "hi"]).roles[0].args
        ['hi']
    """
    arguments = component_args_from_str(cmpnt_fn, cmpnt_args, cmpnt_defaults, config)
    app: object = cmpnt_fn(
        *arguments.positional_args.values(), *arguments.var_args, **arguments.kwargs
    )
    if not isinstance(app, AppDef):
        raise TypeError(
            f"component {cmpnt_fn.__name__} must return an AppDef, not {type(app).__name__}"
        )
    return app


def _create_args_parser(
    cmpnt_fn: Callable[..., Any],
    cmpnt_defaults: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> argparse.ArgumentParser:
    """Makes the parser of a component; the name that tests of components call."""
    return create_args_parser(cmpnt_fn, cmpnt_defaults, config)
