"""Macros: placeholders in a role whose values are known only once the job is submitted."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, TypeVar

from torchx.specs import lazy
from torchx.specs.app import Resource, Role
from torchx.util.records import record

T = TypeVar("T")

_REPLACED = frozenset(("args", "env", "metadata", "mounts"))
_UNCHANGEABLE = frozenset((str, int, float, bool, type(None)))

# `$$(NAME)` is left alone: it is the escape of Kubernetes, not ours.
_NAME = "[_a-zA-Z][_a-zA-Z0-9]*"
_PLACEHOLDER = rf"\$(?:(?P<escaped>\$)(?!\()|(?P<named>{_NAME})|\{{(?P<braced>{_NAME})\}})"


class macros:
    """Placeholders for the arguments, environment values and metadata of a role.

    Example:
        >>> role = Role("trainer", "/tmp", args=["--id", macros.app_id])
        >>> values = macros.Values(img_root="/", app_id="job1", replica_id="0", rank0_env="R0")
        >>> values.apply(role).args
        ['--id', 'job1']
    """

    img_root = "${img_root}"
    """Root of the image inside of the replica."""

    base_img_root = "${base_img_root}"
    """Deprecated: root of the base image."""

    app_id = "${app_id}"
    """Id of the app at the scheduler."""

    replica_id = "${replica_id}"
    """Number of the replica within its role, from 0. A replacement keeps the number."""

    rank0_env = "${rank0_env}"
    """*Name* of the environment variable that holds the host of the first replica."""

    @record
    class Values:
        """Values of all macros for one replica.

        Args:
            img_root: Value of :attr:`macros.img_root`.
            app_id: Value of :attr:`macros.app_id`.
            replica_id: Value of :attr:`macros.replica_id`.
            rank0_env: Value of :attr:`macros.rank0_env`.
            base_img_root: Deprecated: value of :attr:`macros.base_img_root`.
        """

        img_root: str
        app_id: str
        replica_id: str
        rank0_env: str
        base_img_root: str = "DEPRECATED"

        def apply(self, role: Role) -> Role:
            """Copies a role, with macros substituted.

            They are substituted in the entrypoint, the arguments, the values of the environment,
            the paths of mounts and in all text of the metadata but its keys. The given role is not
            changed.

            Args:
                role: The role.

            Returns:
                The copy. It shares its overrides with the original, if there are any.

            Raises:
                TypeError: An argument is not a string.
            """
            values = self.to_dict()
            replica = _copy(role)
            entrypoint = _substitute_all(role.entrypoint, values)
            if entrypoint != role.entrypoint:
                replica.entrypoint = entrypoint
            replica.args = [_substitute(arg, values) for arg in role.args]
            replica.env = _substitute_all(role.env, values)
            replica.metadata = _substitute_all(role.metadata, values)
            replica.mounts = [_substitute_fields(mount, values) for mount in role.mounts]
            return replica

        def substitute(self, arg: str) -> str:
            """Replaces ``${name}`` and ``$name`` of known macros, and ``$$`` by ``$``.

            Args:
                arg: The text.

            Returns:
                The text with macros replaced. Other text stays as it is, also unknown names and
                ``$(...)``.

            Raises:
                TypeError: ``arg`` is not a string.
            """
            return _substitute(arg, self.to_dict())

        def substitute_all(self, data: T) -> T:
            """Replaces macros as :meth:`substitute` does, in nested data.

            Args:
                data: Text, or dicts, lists and tuples of anything.

            Returns:
                A copy, with macros replaced in all text but the keys of dicts.
            """
            substituted: T = _substitute_all(data, self.to_dict())
            return substituted

        def to_dict(self) -> dict[str, Any]:
            """Returns the values by the names of the macros.

            Returns:
                A new dict.
            """
            return dict(vars(self))


def escape_macros(text: str) -> str:
    """Returns the text that becomes this one when macros are substituted.

    Args:
        text: Any text, for example a password with a ``$``.

    Returns:
        The text itself if substitution leaves it alone.
    """
    known = {field.name for field in fields(macros.Values)}

    def escaped(placeholder: re.Match[str]) -> str:
        name = placeholder["named"] or placeholder["braced"]
        is_macro = placeholder["escaped"] or name in known
        return placeholder[0].replace("$", "$$") if is_macro else placeholder[0]

    return re.sub(_PLACEHOLDER, escaped, text)


def _substitute(text: str, values: Mapping[str, str]) -> str:
    if not isinstance(text, str):
        raise TypeError(f"cannot substitute macros in {text!r}: it is not a string")
    if "$" not in text:
        return text

    def value_of(placeholder: re.Match[str]) -> str:
        if placeholder["escaped"]:
            return "$"
        name = placeholder["named"] or placeholder["braced"]
        return str(values[name]) if name in values else placeholder[0]

    return re.sub(_PLACEHOLDER, value_of, text)


def _substitute_all(tree: Any, values: Mapping[str, str]) -> Any:
    """Copies nested metadata, with macros substituted in all strings but keys."""
    if isinstance(tree, str):
        return _substitute(tree, values)
    if isinstance(tree, dict):
        substituted = copy.copy(tree)  # keeps the class, for example OrderedDict
        substituted.update({key: _substitute_all(value, values) for key, value in tree.items()})
        return substituted
    if type(tree) in (list, tuple):
        return type(tree)(_substitute_all(item, values) for item in tree)
    return copy.deepcopy(tree)


def _substitute_fields(mount: T, values: Mapping[str, str]) -> T:
    """Copies a mount of whatever class, with macros substituted in its attributes."""
    substituted = copy.copy(mount)
    vars(substituted).update(_substitute_all(vars(mount), values))
    return substituted


def _copy(role: Role) -> Role:
    """Deep-copies a role, but for what is about to be replaced and for shared overrides."""
    kept = _REPLACED | {"overrides"} if lazy.has_overrides(role) else _REPLACED
    replica: Role = object.__new__(type(role))
    vars(replica).update(
        (name, value if name in kept else _own(value)) for name, value in vars(role).items()
    )
    return replica


def _own(value: Any) -> Any:
    """Deep-copies a value. What roles are mostly made of is copied without asking ``copy``."""
    kind = type(value)
    if kind in _UNCHANGEABLE or isinstance(value, Enum):
        return value
    if kind is dict:
        return {key: _own(item) for key, item in value.items()}
    if kind is Resource:
        copied = object.__new__(Resource)
        vars(copied).update((name, _own(item)) for name, item in vars(value).items())
        return copied
    return copy.deepcopy(value)
