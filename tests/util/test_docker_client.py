"""Why an engine cannot be reached, in words."""

from __future__ import annotations

import errno
import gc
import os
import socket
from pathlib import Path

import pytest
from docker.errors import APIError, DockerException
from requests import Response
from requests.exceptions import ConnectionError, ReadTimeout
from urllib3.exceptions import ProtocolError

from torchx.util.docker_client import (
    DockerEngineError,
    docker_client,
    engine_error,
    is_connection_lost,
    status_of,
)


def wrapped(number: int) -> DockerException:
    """What the package makes of an error of the kernel."""
    aborted = ProtocolError("Connection aborted.", OSError(number, os.strerror(number)))
    cause = ConnectionError(aborted)
    error = DockerException(f"Error while fetching server API version: {cause}")
    error.__cause__ = cause
    return error


def answer(status: int) -> APIError:
    response = Response()
    response.status_code = status
    return APIError("text", response=response, explanation="because")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNREFUSED])
def test_no_engine(number: int) -> None:
    error = engine_error(wrapped(number), "list containers")
    assert "cannot list containers: no Docker engine answers" in str(error)
    assert "DOCKER_HOST" in error.hint
    assert error.transient


def test_no_permission() -> None:
    error = engine_error(wrapped(errno.EACCES), "list containers")
    assert "this user may not use the Docker engine" in str(error)
    assert "group `docker`" in error.hint
    assert not error.transient


@pytest.mark.parametrize(
    "lost", [ReadTimeout("slow"), ConnectionError("broken"), wrapped(errno.ECONNRESET)]
)
def test_a_lost_connection_may_come_back(lost: Exception) -> None:
    assert is_connection_lost(lost)
    error = engine_error(lost, "list containers")
    assert "lost the connection" in str(error)
    assert error.transient


@pytest.mark.parametrize(("status", "transient"), [(404, False), (409, False), (500, True)])
def test_an_answer_is_passed_on(status: int, transient: bool) -> None:
    error = engine_error(answer(status), "start it")
    assert str(error) == "cannot start it: because"
    assert (error.status, error.explanation) == (status, "because")
    assert error.transient == transient
    assert not is_connection_lost(answer(status))


def test_what_is_no_answer_has_no_status() -> None:
    assert status_of(answer(404)) == 404
    assert status_of(ValueError("x")) is None


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_socket_that_nobody_listens_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(DockerEngineError, match=f"no Docker engine answers at unix://{path}"):
        docker_client()
    gc.collect()  # the package leaves sockets that could not be connected to it
