from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from torchx.schedulers.local.processes import (
    ProcessStat,
    descendants,
    is_running,
    process_table,
    read_stat,
    send_signal,
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_a_process_whose_name_looks_like_numbers_is_read() -> None:
    stat = ProcessStat(9, b"9 (a) b) 1 (c) S 2 3 4 0 -1 0 0 0 0 0 10 20 3 4 20 0 1 0 777 0 55 0 0")
    assert (stat.state, stat.parent, stat.group, stat.session) == ("S", 2, 3, 4)
    assert (stat.cpu_ticks, stat.start_ticks, stat.rss_pages) == (37, 777, 55)


def test_a_process_is_signalled_only_if_it_is_the_same_one(
    sleeper: subprocess.Popen[bytes],
) -> None:
    stat = read_stat(sleeper.pid)
    assert stat is not None
    assert not send_signal(sleeper.pid, stat.start_ticks + 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert send_signal(sleeper.pid, stat.start_ticks, signal.SIGTERM)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(sleeper.pid, stat.start_ticks)
    sleeper.wait()
    assert not send_signal(sleeper.pid, stat.start_ticks, signal.SIGTERM)
    assert not is_running(sleeper.pid, None)


def test_descendants_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    found = {stat.pid for stat in descendants(os.getpid(), process_table())}
    assert sleeper.pid in found
    assert os.getpid() not in found
