"""Ends and removes apps."""

from __future__ import annotations

from collections.abc import Sequence

from torchx.schedulers.docker.client import WAITS_AT_ONCE, Engine
from torchx.schedulers.docker.options import Opts
from torchx.schedulers.docker.parse import CANCELLED_SUFFIX, Replica, app_state, description_of
from torchx.specs.api import is_terminal


def cancel_app(engine: Engine, replicas: Sequence[Replica]) -> None:
    """Ends all containers of an app at once: SIGTERM, and SIGKILL after the grace period.

    Args:
        engine: The engine.
        replicas: The containers; nothing happens if the app has ended.
    """
    if is_terminal(app_state(replicas)):
        return
    # Before anything ends, so that nobody takes the end for a failure. Not the first replica,
    # whose name the others look up.
    marked = replicas[-1]
    if not any(replica.is_marked for replica in replicas):
        engine.rename(marked.container_id, f"{marked.name}{CANCELLED_SUFFIX}")
    stop_all(engine, replicas)


def stop_all(engine: Engine, replicas: Sequence[Replica]) -> None:
    """Ends containers, all at once.

    Args:
        engine: The engine.
        replicas: The containers.
    """
    description = description_of(replicas)
    grace_period_s = description.grace_period_s if description else Opts().grace_period_s
    active = [item.container_id for item in replicas if not is_terminal(item.state)]
    engine.each(
        lambda container_id: engine.stop(container_id, grace_period_s), active, WAITS_AT_ONCE
    )


def remove_app(engine: Engine, app_id: str) -> None:
    """Removes the containers of an app, running or not, and its private network.

    Args:
        engine: The engine.
        app_id: Id of the app.
    """
    ids = [str(entry["Id"]) for entry in engine.containers(app_id)]
    engine.each(engine.remove, ids)
    for network in engine.networks(app_id):
        engine.remove_network(network["Id"])
