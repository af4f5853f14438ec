"""Turns an app into the request that the local scheduler prints and runs. No I/O here."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict

from torchx.schedulers.cluster_mounts import refuse_cluster_mounts
from torchx.schedulers.local.images import ImageProvider, ReplicaParam
from torchx.schedulers.local.layout import path_component
from torchx.specs.api import AppDef, Role, macros
from torchx.util.records import record
from torchx.util.redact import redact_args, redact_env

STDOUT_LOG = "stdout.log"
STDERR_LOG = "stderr.log"
COMBINED_LOG = "combined.log"


@record
class PopenRequest:
    """All processes of an app.

    Attributes:
        app_id: Id of the app.
        log_dir: Directory of the app's logs.
        role_params: Name of a role -> how to start each of its replicas.
        role_log_dirs: Name of a role -> log directory of each of its replicas.
    """

    app_id: str
    log_dir: str
    role_params: dict[str, list[ReplicaParam]]
    role_log_dirs: dict[str, list[str]]


def join_path(*paths: str | None) -> str:
    """Joins search paths.

    Args:
        *paths: Search paths; empty ones are left out.

    Returns:
        One search path without separators at its ends.

    Example:
        >>> join_path("/usr/local/bin", None, ":/usr/bin:/bin:")
        '/usr/local/bin:/usr/bin:/bin'
    """
    stripped = (path.strip(os.pathsep) for path in paths if path)
    return os.pathsep.join(path for path in stripped if path)


def app_id_stem(name: str) -> str:
    """Turns the name of an app into one that can stand in a handle and in a path.

    Args:
        name: Name of the app.

    Returns:
        The name with ``_`` for slashes, white space and control characters, shortened to 150
        characters.
    """
    kept = "".join(
        "_" if char == "/" or char.isspace() or not char.isprintable() else char for char in name
    )
    return kept[:150].lstrip(".") or "app"


def make_request(
    app: AppDef,
    app_id: str,
    app_log_dir: str,
    provider: ImageProvider,
    extra_paths: Sequence[str],
    *,
    prepend_cwd: bool,
) -> PopenRequest:
    """Lays out the processes of an app.

    Args:
        app: The app, which is not changed.
        app_id: Its id.
        app_log_dir: Directory for its logs; not created here.
        provider: Knows the images.
        extra_paths: Directories to look for programs in first.
        prepend_cwd: Put the image directory before the ``PATH`` of the role, not after it.

    Returns:
        The request.

    Raises:
        ValueError: Two roles have the same name, or there is no such image.
    """
    refuse_cluster_mounts("this machine", app.roles)
    request = PopenRequest(app_id, app_log_dir, {}, {})
    for role in app.roles:
        if role.name in request.role_params:
            raise ValueError(
                f"the app `{app.name}` has two roles named `{role.name}`; role names must differ"
            )
        role_dir = path_component(role.name)
        log_dirs = [
            f"{app_log_dir}/{role_dir}/{replica_id}" for replica_id in range(role.num_replicas)
        ]
        torchelastic_dir = f"{app_log_dir}/torchelastic/{role_dir}"
        own = _own_copy(role)
        img_root = provider.fetch_role(own)
        path = _search_path(own, provider.get_cwd(role.image), extra_paths, prepend_cwd)
        request.role_log_dirs[role.name] = log_dirs
        request.role_params[role.name] = [
            _replica_param(
                own, app_id, torchelastic_dir, log_dir, replica_id, provider, img_root, path
            )
            for replica_id, log_dir in enumerate(log_dirs)
        ]
    return request


def format_request(request: PopenRequest) -> str:
    """Shows a request, without secrets.

    Args:
        request: The request.

    Returns:
        Text for people.
    """
    import pprint

    shown = asdict(request)
    for params in shown["role_params"].values():
        for param in params:
            param["args"] = redact_args(param["args"])
            param["env"] = redact_env(param["env"])
    return pprint.pformat(shown, indent=2, width=80)


def _own_copy(role: Role) -> Role:
    # Providers may add to the environment of a role, which is the caller's.
    own = copy.copy(role)
    own.args = list(role.args)
    own.env = dict(role.env)
    return own


def _search_path(role: Role, cwd: str | None, extra_paths: Sequence[str], prepend_cwd: bool) -> str:
    path = join_path(*extra_paths, role.env.get("PATH"))
    return join_path(cwd, path) if prepend_cwd else join_path(path, cwd)


def _replica_param(
    role: Role,
    app_id: str,
    torchelastic_dir: str,
    log_dir: str,
    replica_id: int,
    provider: ImageProvider,
    img_root: str,
    path: str,
) -> ReplicaParam:
    values = macros.Values(
        img_root=img_root,
        app_id=app_id,
        replica_id=str(replica_id),
        rank0_env="TORCHX_RANK0_HOST",
    )
    param = provider.get_replica_param(
        img_root,
        values.apply(role),
        f"{log_dir}/{STDOUT_LOG}",
        f"{log_dir}/{STDERR_LOG}",
        f"{log_dir}/{COMBINED_LOG}",
    )
    param.env = {
        "TORCHELASTIC_ERROR_FILE": f"{log_dir}/error.json",
        "PET_LOG_DIR": torchelastic_dir,
        **param.env,
        "TORCHX_RANK0_HOST": "localhost",
        "PATH": values.substitute(path) if "$" in path else path,
    }
    return param
