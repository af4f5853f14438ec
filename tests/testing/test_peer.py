from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchx.testing import Peer

RUNNER = """
import os

class Recorder:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        open("closed", "w").close()
    def pid(self):
        print("noise on standard output")
        return os.getpid()
    def lines(self, count, end):
        return (f"{number}{end}" for number in range(count))
    def fail(self):
        raise ValueError("as asked")
    def crash(self):
        os._exit(7)
    def hang(self):
        import time
        time.sleep(3600)
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "recorder.py").write_text(RUNNER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return "recorder:Recorder"


def test_calls_happen_in_one_other_process(runner: str) -> None:
    with Peer(runner, timeout_s=30) as peer:
        assert peer.call("pid") == peer.call("pid") == peer.process.pid != os.getpid()
        assert peer.call("lines", 3, end="!") == ["0!", "1!", "2!"]


def test_an_error_of_the_other_process_is_raised_here(runner: str) -> None:
    with Peer(runner, timeout_s=30) as peer:
        with pytest.raises(ValueError, match="as asked"):
            peer.call("fail")
        assert peer.call("lines", 1, "") == ["0"]


def test_a_closed_peer_has_closed_its_runner(runner: str, tmp_path: Path) -> None:
    with Peer(runner, timeout_s=30) as peer:
        peer.call("pid")
    peer.close()
    assert (tmp_path / "closed").exists()


def test_a_killed_peer_has_not_closed_its_runner(runner: str, tmp_path: Path) -> None:
    with Peer(runner, timeout_s=30) as peer:
        peer.call("pid")
        peer.start("hang")
        peer.kill()
    assert peer.process.returncode == -9
    assert not (tmp_path / "closed").exists()


def test_a_peer_that_crashes_is_said_to_have_ended(runner: str) -> None:
    with Peer(runner, timeout_s=30) as peer, pytest.raises(ConnectionError, match="ended with 7"):
        peer.call("crash")


def test_a_call_that_hangs_fails_in_time(runner: str) -> None:
    peer = Peer(runner, timeout_s=30)
    peer.call("pid")
    peer._timeout_s = 0.05
    with pytest.raises(TimeoutError, match=r"hang took more than 0.05 s"):
        peer.call("hang")
    peer._timeout_s = 30
    peer.kill()
