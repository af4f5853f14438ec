"""Importing by name, telling what is absent from what is broken."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)


def load_module(path: str) -> ModuleType | Callable[..., Any] | None:
    """Imports a module, or an attribute of one.

    A module that exists but cannot be imported, and an attribute that is missing, are logged.

    Args:
        path: ``full.module.path`` or ``full.module.path:attribute``.

    Returns:
        The module or the attribute; None if there is none.
    """
    name, colon, attribute = path.partition(":")
    if not name:
        return None
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if not _is_absence_of(name, error):
            logger.warning("cannot import %s: %s: %s", name, type(error).__name__, error)
        return None
    if not colon:
        return module
    try:
        found: Callable[..., Any] = getattr(module, attribute)
    except AttributeError as error:
        logger.warning("cannot load %s: %s", path, error)
        return None
    return found


def import_attr(name: str, attr: str, default: T) -> T:
    """Returns an attribute of a module, or a default if the module does not exist.

    Args:
        name: Full name of the module.
        attr: Name of the attribute.
        default: What to return if the module or a parent of it is absent.

    Returns:
        The attribute or the default.

    Raises:
        AttributeError: If the module has no such attribute.
        ModuleNotFoundError: If the module exists but one of its own imports does not.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if _is_absence_of(name, error):
            return default
        raise
    found: T = getattr(module, attr)
    return found


def _is_absence_of(name: str, error: BaseException) -> bool:
    return (
        isinstance(error, ModuleNotFoundError)
        and error.name is not None
        and (name == error.name or name.startswith(error.name + "."))
    )
