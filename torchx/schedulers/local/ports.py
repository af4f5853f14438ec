"""Finds out whether the ports that replicas will meet at are free on this machine."""

from __future__ import annotations

import errno
import logging

from torchx.specs.api import AppDef

log: logging.Logger = logging.getLogger(__name__)


def warn_of_busy_ports(app: AppDef) -> None:
    """Logs a warning for each port of a role with several replicas that somebody else listens on.

    All replicas share this machine: they would meet the other job there instead of each other.

    Args:
        app: The app that is about to start.
    """
    for role in app.roles:
        if role.num_replicas < 2:
            continue
        for name, port in (role.port_map or {}).items():
            if _is_busy(port):
                log.warning(
                    "port %d (`%s` of role `%s`) is in use on this machine, perhaps by another job;"
                    " give this one a port of its own (dist.ddp: --rdzv_port)",
                    port,
                    name,
                    role.name,
                )


def _is_busy(port: int) -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        except OverflowError:
            return False  # no port at all; what uses it says so
    return False
