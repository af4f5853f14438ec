from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchx import settings
from torchx.util import session


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CURRENT_SESSION_ID", None)
    monkeypatch.delenv(session.TORCHX_INTERNAL_SESSION_ID, raising=False)


def test_the_name_of_the_variable_is_the_setting() -> None:
    assert session.TORCHX_INTERNAL_SESSION_ID is settings.ENV_TORCHX_INTERNAL_SESSION_ID


def test_asking_does_not_create_a_session() -> None:
    assert session.get_torchx_session_id() is None


def test_a_session_is_created_once() -> None:
    created = session.get_session_id_or_create_new()
    assert uuid.UUID(created).version == 4
    assert session.get_session_id_or_create_new() == created
    assert session.get_torchx_session_id() == session.CURRENT_SESSION_ID == created


def test_the_session_of_the_launcher_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(session.TORCHX_INTERNAL_SESSION_ID, "outer")
    assert session.get_session_id_or_create_new() == "outer"
    monkeypatch.setenv(session.TORCHX_INTERNAL_SESSION_ID, "changed")
    assert session.get_session_id_or_create_new() == "outer"


def test_an_empty_session_is_not_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(session.TORCHX_INTERNAL_SESSION_ID, "")
    assert session.get_session_id_or_create_new()


def test_threads_share_one_session() -> None:
    threads = 8
    together = threading.Barrier(threads)

    def ask() -> str:
        together.wait()
        return session.get_session_id_or_create_new()

    with ThreadPoolExecutor(threads) as pool:
        ids = {done.result() for done in [pool.submit(ask) for _ in range(threads)]}
    assert len(ids) == 1
