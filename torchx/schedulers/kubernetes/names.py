"""Names of objects, and ids of apps. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from torchx.schedulers.kubernetes.refusals import KubernetesAppError, KubernetesAppTypeError
from torchx.specs.api import AppDef, Role
from torchx.specs.mounts import Mount
from torchx.util.strings import normalize_str

LONGEST_NAME = 63
"""Longest name of a pod, a host or a Service, in characters."""

_MOUNTS = get_args(Mount)
_SHORTEN = "shorten the name of the app or of the role"


def app_id_of(namespace: str, name: str) -> str:
    """Makes the id of an app.

    Args:
        namespace: Namespace of its objects.
        name: Its unique name there.

    Returns:
        ``namespace:name``.
    """
    return f"{namespace}:{name}"


def split_app_id(app_id: str) -> tuple[str, str]:
    """Takes the id of an app apart.

    Args:
        app_id: ``namespace:name``.

    Returns:
        The namespace and the name.

    Raises:
        ValueError: It has another form.
    """
    namespace, colon, name = app_id.partition(":")
    if not (namespace and colon and name) or ":" in name:
        raise KubernetesAppError(
            f"`{app_id}` is not the id of an app on Kubernetes, which is <namespace>:<name>,"
            " for example default:trainer-x1; `torchx list` shows the ids"
        )
    return namespace, name


def replica_name(role_name: str, replica_id: int) -> str:
    """Names the container, and for Volcano the task, of a replica.

    Args:
        role_name: Name of its role.
        replica_id: Number of the replica within the role.

    Returns:
        For example ``trainer-0``.
    """
    return normalize_str(f"{role_name}-{replica_id}")


def volcano_hosts_variable(role_name: str) -> str:
    """Names the variable in which Volcano gives the host of the first replica of a role.

    Args:
        role_name: Name of the role.

    Returns:
        For example ``VC_MY_TRAINER_0_HOSTS``.
    """
    return f"VC_{normalize_str(role_name).upper().replace('-', '_')}_0_HOSTS"


def volcano_pod_name(job_name: str, task_name: str, index: int) -> str:
    """Names a pod as Volcano does.

    Args:
        job_name: Name of its Job.
        task_name: Name of its task.
        index: Number of the pod within the task.

    Returns:
        For example ``demo-x1-trainer-0-0``.
    """
    return f"{job_name}-{task_name}-{index}"


def job_name(app_name: str, roles: list[Role], role: Role) -> str:
    """Names the plain Job of a role.

    Args:
        app_name: Unique name of the app.
        roles: All roles of the app.
        role: The role.

    Returns:
        The name of the app where there is one role, else for example ``demo-x1-trainer``.
    """
    return app_name if len(roles) == 1 else f"{app_name}-{normalize_str(role.name)}"


def has_peers(app: AppDef) -> bool:
    """Tells whether the replicas of an app have others to look for.

    Args:
        app: The app.

    Returns:
        True if there is more than one.
    """
    return sum(role.num_replicas for role in app.roles) > 1


def host_name(job: str, replica_id: int) -> str:
    """Names the host that the pod of an Indexed Job is.

    Args:
        job: Name of the Job.
        replica_id: Number of the replica.

    Returns:
        For example ``demo-x1-0``.
    """
    return f"{job}-{replica_id}"


def check_app(app: AppDef, app_name: str) -> None:
    """Checks what has to be right whatever objects an app becomes.

    Args:
        app: The app.
        app_name: Its unique name.

    Raises:
        ValueError: Kubernetes cannot run it. All names that are wrong are told.
        TypeError: A variable is no text, or a mount of an unknown type.
    """
    if not app.roles:
        raise KubernetesAppError(f"the app {app.name!r} has no roles; give it at least one")
    faults = [*_name_faults(app, app_name), *port_faults(app.roles)]
    if faults:
        raise KubernetesAppError("; ".join(faults))
    check_contents(app.roles)


def check_contents(roles: Iterable[Role]) -> None:
    """Checks the mounts and the variables of roles.

    Args:
        roles: The roles.

    Raises:
        TypeError: A variable is no text, or a mount of an unknown type.
    """
    for role in roles:
        for mount in role.mounts:
            if not isinstance(mount, _MOUNTS):
                raise KubernetesAppTypeError(
                    f"role {role.name!r}: unknown mount type {type(mount).__name__}: {mount!r}"
                )
        for name, value in role.env.items():
            if not isinstance(value, str):
                raise KubernetesAppTypeError(
                    f"the variable {name} of role {role.name!r} must be text,"
                    f" not {type(value).__name__}; write it as a string"
                )


def _name_faults(app: AppDef, app_name: str) -> Iterable[str]:
    if not app_name[:1].isalpha():
        yield (
            f"the name of the app {app.name!r} must begin with a letter on Kubernetes, where it"
            f" becomes `{app_name}`; give the app another name"
        )
    seen: dict[str, str] = {}
    for role in app.roles:
        name = normalize_str(role.name).rstrip("-")
        if not name:
            yield (
                f"nothing is left of the name of role {role.name!r}: names on Kubernetes consist of"
                " letters a to z, digits and dashes; give the role another name"
            )
        elif name in seen:
            yield (
                f"the roles {seen[name]!r} and {role.name!r} would both be called `{name}` on"
                " Kubernetes; give one of them another name"
            )
        seen.setdefault(name, role.name)
        if role.num_replicas < 1:
            yield f"role {role.name!r} has {role.num_replicas} replicas; give it at least one"


_PORT_NAME = re.compile(r"(?!.*--)(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


def port_faults(roles: Iterable[Role]) -> Iterable[str]:
    """Finds what is wrong with the ports of roles.

    Args:
        roles: The roles.

    Yields:
        Sentences.
    """
    for role in roles:
        for name, port in role.port_map.items():
            if not _PORT_NAME.fullmatch(name):
                yield (
                    f"`{name}` of role {role.name!r} cannot be the name of a port on Kubernetes:"
                    " it takes 1 to 15 characters a to z, 0 to 9 and single inner dashes, one of"
                    " them a letter"
                )
            if not 0 < port < 65536:
                yield f"port `{name}` of role {role.name!r} must be 1 to 65535, not {port}"


def check_pod_name(name: str) -> None:
    """Checks the name of a pod.

    Args:
        name: The name.

    Raises:
        ValueError: It is too long.
    """
    if len(name) > LONGEST_NAME:
        raise KubernetesAppError(
            f"Pod name '{name}' ({len(name)} characters) exceeds {LONGEST_NAME} character limit;"
            f" {_SHORTEN}"
        )
