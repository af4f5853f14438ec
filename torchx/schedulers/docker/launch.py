"""Submits an app: all of it, or nothing."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torchx.schedulers.docker import gpus
from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.control import remove_app
from torchx.schedulers.docker.errors import image_error, start_error
from torchx.schedulers.docker.parse import app_state, read_apps
from torchx.schedulers.docker.request import LABEL_APP_ID, NETWORK, DockerContainer, DockerJob
from torchx.schedulers.docker.submission import Machine, complete
from torchx.specs.api import is_terminal
from torchx.util.docker_client import DockerEngineError, docker_client

if TYPE_CHECKING:
    from docker import DockerClient

log: logging.Logger = logging.getLogger(__name__)

_NVIDIA_DEVICES = "/proc/driver/nvidia/gpus"


def launch(engine: Engine, job: DockerJob, descriptions: Mapping[str, str]) -> None:
    """Creates and starts the containers of an app.

    Args:
        engine: The engine.
        job: The request.
        descriptions: Name of a role -> label for its first replica.

    Raises:
        JobStartError: The engine refuses. Nothing of the app is left.
        DockerEngineError: The engine does not answer (any more).
    """
    try:
        for image in dict.fromkeys(container.image for container in job.containers):
            _fetch_image(engine, job.app_id, image)
        _make_networks(engine, job)
        ids = _create(engine, job, descriptions)
        # The first one is who the others look for.
        engine.each(engine.start, ids[:1])
        engine.each(engine.start, ids[1:])
    except BaseException as error:
        _clean_up(engine, job.app_id)
        if isinstance(error, DockerEngineError) and error.status is not None:
            raise start_error(job.app_id, error.explanation) from error
        raise


def ensure_network(client: DockerClient | None = None) -> None:
    """Creates the network that all apps have in common, unless it is there.

    Args:
        client: A client of the engine; by default one is made.

    Raises:
        APIError: The engine refuses.
    """
    client = client or docker_client()
    # Some engines would make two networks of one name.
    with machine_lock("network"):
        try:
            client.networks.create(name=NETWORK, driver="bridge", check_duplicate=True)
        except Exception as error:
            if "already exists" not in str(error):
                raise


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Keeps other processes of this machine, of any user, from doing the same at the same time.

    Args:
        name: What is done.

    Raises:
        OSError: The lock file cannot be made.
    """
    path = os.path.join(tempfile.gettempdir(), f"torchx_docker_{name}_lock")
    try:
        # Reading is enough for a lock, and a file of another user cannot be opened otherwise.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fetch_image(engine: Engine, app_id: str, image: str) -> None:
    if image.startswith("sha256:"):
        return
    local = engine.image(image)
    if local is not None and not local.get("RepoDigests"):
        return  # built here: a registry has at most a stranger's image of that name
    try:
        engine.pull(image)
    except DockerEngineError as error:
        if error.status is None:
            raise
        if local is None:
            raise image_error(app_id, image, error.explanation, engine.image_tags()) from error
        log.warning("cannot pull `%s`, using the one that is here: %s", image, error.explanation)


def _make_networks(engine: Engine, job: DockerJob) -> None:
    names = dict.fromkeys(container.kwargs.get("network") for container in job.containers)
    for name in names:
        if name == NETWORK:
            engine.call("create the network", lambda: ensure_network(engine.client))
        elif name == f"{NETWORK}-{job.app_id}":
            _remove_unused_networks(engine)
            engine.create_network(str(name), job.app_id)


def _remove_unused_networks(engine: Engine) -> None:
    """Frees the addresses of ended apps: an engine has about thirty networks to give."""
    networks = engine.networks()
    apps = read_apps(engine.containers()) if networks else {}
    for network in networks:
        app_id = network["Labels"][LABEL_APP_ID]
        if app_id in apps and is_terminal(app_state(apps[app_id])):
            engine.remove_network(network["Id"])


def _create(engine: Engine, job: DockerJob, descriptions: Mapping[str, str]) -> list[str]:
    wants_gpus = any(gpus.counts_wanted([container.kwargs for container in job.containers]))
    if not wants_gpus:
        return _create_all(engine, complete(job, descriptions))
    with machine_lock("gpus"):
        machine = Machine(_gpu_count(engine), _held_gpus(engine))
        return _create_all(engine, complete(job, descriptions, machine))


def _create_all(engine: Engine, containers: Sequence[DockerContainer]) -> list[str]:
    return engine.each(engine.create, containers)


def _held_gpus(engine: Engine) -> set[int]:
    return {
        number
        for replicas in read_apps(engine.containers()).values()
        for replica in replicas
        if not is_terminal(replica.state)
        for number in replica.gpus
    }


def _gpu_count(engine: Engine) -> int | None:
    base_url: Any = engine.client.api.base_url
    if not base_url.startswith("http+docker://localhost"):
        return None  # the engine may be on another machine
    try:
        return len(os.listdir(_NVIDIA_DEVICES))
    except OSError:
        return None


def _clean_up(engine: Engine, app_id: str) -> None:
    try:
        remove_app(engine, app_id)
    except Exception as error:
        log.error(
            "cannot remove what was made of `%s` (%s); do it with: docker rm -f"
            " $(docker ps -aq --filter label=%s=%s)",
            app_id,
            error,
            LABEL_APP_ID,
            app_id,
        )
