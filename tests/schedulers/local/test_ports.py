from __future__ import annotations

import socket

import pytest

from torchx.schedulers.local.ports import warn_of_busy_ports
from torchx.specs import AppDef, Role


def app(port: int, num_replicas: int = 2) -> AppDef:
    return AppDef("a", [Role("r", "", num_replicas=num_replicas, port_map={"c10d": port})])


def test_a_port_that_another_job_listens_on_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        warn_of_busy_ports(app(port, num_replicas=1))
        assert not caplog.messages
        warn_of_busy_ports(app(port))
    assert f"port {port} (`c10d` of role `r`) is in use" in caplog.text
    assert "--rdzv_port" in caplog.text


@pytest.mark.parametrize("port", [0, -1, 1 << 20])
def test_other_ports_pass(port: int, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_busy_ports(app(port))
    assert not caplog.messages
