"""Logs that are larger than memory should be, through the runner and the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.specs import AppState, Resource, Role
from torchx.testing import SchedulerHarness

REPLICAS = 64
LINES_PER_REPLICA = 40_000
LINE = "x" * 79
MEMORY_LIMIT_MB = 100
LINES = 1_000_000

CLI = "import sys; from torchx.cli.main import main; main(sys.argv[1:])"

# VmHWM belongs to the program alone; what getrusage tells includes the process that forked it.
CLI_THAT_TELLS_ITS_PEAK_MEMORY = """
import re, sys
from torchx.cli.main import main
main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1], file=sys.stderr)
"""

# Lines of changing length, so that blocks of any size end inside of a line and of a character.
WRITE_LINES = """
import sys
write = sys.stdout.buffer.write
for number in range(int(sys.argv[1])):
    write(f"{number} {'\u00df\u65e5\U0001f600'[:number % 4]}\\n".encode())
"""


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    with SchedulerHarness("local_cwd", image="/", timeout_s=120) as harness:
        yield harness


@pytest.fixture
def long_log(harness: SchedulerHarness) -> str:
    job = harness.launch(harness.role(WRITE_LINES, str(LINES)))
    assert job.wait().state == AppState.SUCCEEDED
    return job.handle


def expected_lines() -> list[str]:
    characters = "\u00df\u65e5\U0001f600"
    return [f"{number} {characters[: number % 4]}" for number in range(LINES)]


def torchx(*words: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", CLI, *words], check=True, stdout=subprocess.PIPE, timeout=120
    ).stdout


def test_a_million_lines_arrive_byte_for_byte_on_the_command_line(long_log: str) -> None:
    got = torchx("log", "--no-prefix", long_log)
    assert got == "".join(f"{line}\n" for line in expected_lines()).encode()


def test_a_million_lines_arrive_with_their_prefixes_on_the_command_line(long_log: str) -> None:
    got = torchx("log", f"{long_log}/job/0")
    assert got == "".join(f"job/0 {line}\n" for line in expected_lines()).encode()


@pytest.mark.parametrize("regex", ["7", "^9+ ", "\u65e5", "99 .{3}$"])
def test_a_filter_keeps_exactly_the_matching_lines_of_a_million(long_log: str, regex: str) -> None:
    got = torchx("log", "--no-prefix", "--regex", regex, long_log)
    kept = [line for line in expected_lines() if re.search(regex, line)]
    assert kept
    assert got == "".join(f"{line}\n" for line in kept).encode()


def test_following_64_replicas_needs_little_memory(
    harness: SchedulerHarness, tmp_path: Path
) -> None:
    writer = Role(
        "writer",
        "/",
        entrypoint="/bin/sh",
        args=["-c", f"yes {LINE} | head -n {LINES_PER_REPLICA}"],
        num_replicas=REPLICAS,
        resource=Resource(cpu=1, gpu=0, memMB=64),
    )
    job = harness.launch(writer)
    with (tmp_path / "out").open("wb") as out:
        follower = subprocess.run(
            [sys.executable, "-c", CLI_THAT_TELLS_ITS_PEAK_MEMORY, "log", "--tail", job.handle],
            stdout=out,
            stderr=subprocess.PIPE,
            check=True,
            timeout=120,
        )
    assert job.wait().state == AppState.SUCCEEDED
    with (tmp_path / "out").open("rb") as printed:
        assert sum(1 for _ in printed) == REPLICAS * LINES_PER_REPLICA
    peak_mb = int(follower.stderr.split()[-1]) * 1024 / 1e6
    assert peak_mb < MEMORY_LIMIT_MB
