"""Checks an app before anything is built or submitted, and reports all its faults at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from torchx.errors import TorchXError
from torchx.specs import AppDef, Role


class InvalidAppError(TorchXError, ValueError):
    """An app can run on no scheduler.

    Attributes:
        faults: One sentence for each fault.
    """

    def __init__(self, app_name: str, faults: list[str]) -> None:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(
            f"app `{app_name}` cannot be submitted:{lines}",
            hint="correct the component, or its arguments, that made the app",
        )
        self.faults = faults


def validate_app(app: AppDef) -> None:
    """Raises if an app has a fault that no scheduler could live with.

    Args:
        app: The app. Lazy values of its roles are resolved.

    Raises:
        InvalidAppError: The app has faults, all of which the message names.
    """
    faults = list(_faults(app))
    if faults:
        raise InvalidAppError(app.name, faults)


def _faults(app: AppDef) -> Iterator[str]:
    if not _is_name(app.name):
        yield f"name: {app.name!r} is no name"
    if not app.roles:
        yield f"No roles for app: {app.name}. Add at least one to `AppDef.roles`"
    for name, count in Counter(role.name for role in app.roles).items():
        if count > 1:
            yield f"role `{name}`: {count} roles have this name, which must be unique"
    for role in app.roles:
        for fault in _faults_of_role(role):
            yield f"role `{role.name}`, {fault}"


def _faults_of_role(role: Role) -> Iterator[str]:
    if not _is_name(role.name):
        yield f"name: {role.name!r} is no name"
    if not role.entrypoint:
        yield f"entrypoint: No entrypoint for role: {role.name}. Name the command to run"
    else:
        yield from _faults_of_text("entrypoint", role.entrypoint)
    yield from _faults_of_counts(role)
    for index, arg in enumerate(role.args):
        yield from _faults_of_text(f"args[{index}]", arg)
    yield from _faults_of_env(role.env)


def _faults_of_counts(role: Role) -> Iterator[str]:
    if not _is_int(role.num_replicas):
        yield f"num_replicas: {_named_type(role.num_replicas)} instead of int"
        return
    if role.num_replicas <= 0:
        yield (
            f"num_replicas: Non-positive replicas for role: {role.name}, {role.num_replicas}."
            " Ask for at least one"
        )
    if not _is_int(role.max_retries) or role.max_retries < 0:
        yield f"max_retries: {role.max_retries!r} is no number of retries"
    if role.min_replicas is None:
        return
    if not _is_int(role.min_replicas) or not 0 <= role.min_replicas <= max(role.num_replicas, 0):
        yield f"min_replicas: {role.min_replicas!r} is not between 0 and num_replicas"


def _faults_of_env(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if not _is_name(name) or "=" in name or "\0" in name:
            yield f"env: {name!r} is no name of an environment variable"
        yield from _faults_of_text(f"env[{name}]", value)


def _faults_of_text(field: str, value: object) -> Iterator[str]:
    # The value may be a secret, so only its kind is told.
    if not isinstance(value, str):
        yield f"{field}: {_named_type(value)} instead of str"
    elif "\0" in value:
        yield f"{field}: has a NUL character, which no process can be given"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _named_type(value: object) -> str:
    return "None" if value is None else type(value).__name__
