"""A log holds every byte that was written, in order, and ends when it has ended."""

# ruff: noqa: D102 (the names of the cases say what they are about)

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta, timezone

import pytest

from torchx.schedulers.api import Stream
from torchx.specs import AppState, macros
from torchx.testing.capabilities import Capability
from torchx.testing.cases.programs import PRINT_AND_HANG, SUCCEED
from torchx.testing.harness import SchedulerHarness

PRINT_ON_BOTH = """
import sys
for number in range(3):
    print("out", number, flush=True)
    print("err", number, file=sys.stderr, flush=True)
"""

COUNT = "print(*range(11), sep='\\n')"

WRITE_BYTES = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))"

# Lines of changing length, so that blocks of any size end inside of a line and of a character.
WRITE_MANY_LINES = """
import sys
write = sys.stdout.buffer.write
for number in range(int(sys.argv[1])):
    write(f"{number} {'\u00df\u65e5\U0001f600'[:number % 4]}\\n".encode())
"""

# The moments are taken by the job itself: its clock need not be the test's.
WRITE_EARLY_AND_LATE = """
import sys, time
pause_s = float(sys.argv[1])
print("early", time.time(), flush=True)
time.sleep(2 * pause_s)
print("middle", time.time(), flush=True)
time.sleep(2 * pause_s)
print("late", time.time(), flush=True)
"""


def many_lines(count: int) -> list[str]:
    """Makes the lines that ``WRITE_MANY_LINES`` writes.

    Args:
        count: Their number.

    Returns:
        The lines.
    """
    characters = "\u00df\u65e5\U0001f600"
    return [f"{number} {characters[: number % 4]}\n" for number in range(count)]


def digest(lines: list[str]) -> str:
    """Makes a fingerprint, so that a difference between long logs is not printed line by line.

    Args:
        lines: The log.

    Returns:
        Number of lines and hash of the text.
    """
    return f"{len(lines)} lines {hashlib.sha256(''.join(lines).encode()).hexdigest()}"


class LogCases:
    """Logs of every kind of output, whole and in part, at once and as they come."""

    def test_both_outputs_are_in_the_log(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_ON_BOTH))
        job.wait()
        out = [f"out {number}\n" for number in range(3)]
        err = [f"err {number}\n" for number in range(3)]
        log = job.log()
        assert [line for line in log if line.startswith("out")] == out
        assert [line for line in log if line.startswith("err")] == err
        assert len(log) == 6

    def test_each_output_can_be_read_alone(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SEPARATE_STREAMS)
        job = harness.launch(harness.role(PRINT_ON_BOTH))
        job.wait()
        assert job.log(streams=Stream.STDOUT) == [f"out {number}\n" for number in range(3)]
        assert job.log(streams=Stream.STDERR) == [f"err {number}\n" for number in range(3)]
        assert sorted(job.log(streams=Stream.COMBINED)) == sorted(job.log())

    def test_a_followed_log_comes_while_it_is_written_and_ends_by_itself(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.FOLLOW_LOGS)
        job = harness.launch(harness.role(PRINT_AND_HANG))
        follower = job.follow()
        follower.wait_for_line("started")
        assert job.status().state == AppState.RUNNING
        job.cancel()
        assert follower.until_the_end() == ["started\n"]

    def test_a_log_followed_from_the_start_is_whole(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.FOLLOW_LOGS)
        job = harness.launch(harness.role(COUNT, num_replicas=4))
        followers = [job.follow(k=k) for k in range(4)]
        assert [follower.until_the_end() for follower in followers] == [
            [f"{number}\n" for number in range(11)]
        ] * 4
        assert job.wait().state == AppState.SUCCEEDED

    def test_following_after_the_end_gives_the_whole_log(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(COUNT))
        job.wait()
        assert job.follow().until_the_end() == job.log() == [f"{n}\n" for n in range(11)]

    def test_a_running_app_has_the_log_so_far(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_AND_HANG))
        job.follow().wait_for_line("started")
        assert job.log() == ["started\n"]

    def test_a_log_is_limited_by_time(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.LOG_TIME_RANGE)
        pause_s = harness.log_time_resolution_s
        job = harness.launch(harness.role(WRITE_EARLY_AND_LATE, str(pause_s)))
        job.wait()
        written = [line.split() for line in job.log()]
        assert [word for word, _ in written] == ["early", "middle", "late"]
        early, middle, late = (
            datetime.fromtimestamp(float(moment), timezone.utc) for _, moment in written
        )
        pause = timedelta(seconds=pause_s)

        def words(since: datetime | None = None, until: datetime | None = None) -> list[str]:
            return [line.split()[0] for line in job.log(since=since, until=until)]

        assert words(since=early - pause) == ["early", "middle", "late"]
        assert words(since=early + pause) == ["middle", "late"]
        assert words(until=late - pause) == ["early", "middle"]
        assert words(since=early + pause, until=late - pause) == ["middle"]
        assert words(since=late + pause) == []
        assert words(until=early - pause) == []
        assert words(since=middle - pause, until=middle + pause) == ["middle"]

    def test_a_log_is_filtered(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(COUNT))
        job.wait()
        assert job.log(regex="[02468]") == ["0\n", "2\n", "4\n", "6\n", "8\n", "10\n"]
        assert job.log(regex="^1$") == ["1\n"]
        assert job.log(regex="nothing like it") == []

    @pytest.mark.parametrize("regex", [None, "7"])
    def test_a_long_log_is_whole_and_in_order(
        self, harness: SchedulerHarness, regex: str | None
    ) -> None:
        job = harness.launch(harness.role(WRITE_MANY_LINES, str(harness.many_lines)))
        assert job.wait().state == AppState.SUCCEEDED
        expected = many_lines(harness.many_lines)
        if regex is not None:
            expected = [line for line in expected if re.search(regex, line)]
        assert digest(job.log(regex=regex)) == digest(expected)

    def test_one_very_long_line_is_one_line(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role("print('\u00df' * 300_000 + '!')"))
        job.wait()
        assert digest(job.log()) == digest(["\u00df" * 300_000 + "!\n"])

    @pytest.mark.parametrize("text", ["no newline", "one\nno newline", "a\rb", "\n\n", "a\n\n b"])
    def test_the_end_of_a_log_is_as_it_was_written(
        self, harness: SchedulerHarness, text: str
    ) -> None:
        job = harness.launch(harness.role(WRITE_BYTES, text.encode().hex()))
        job.wait()
        assert job.log() == re.findall(r"[^\n]*\n|[^\n]+", text)

    def test_binary_garbage_does_no_harm(self, harness: SchedulerHarness) -> None:
        garbage = bytes(range(256)) + b"\xc5\xd8\n\xf0\x9f\n" + bytes(reversed(range(256)))
        job = harness.launch(harness.role(WRITE_BYTES, garbage.hex()))
        assert job.wait().state == AppState.SUCCEEDED
        assert "".join(job.log()) == garbage.decode("utf-8", "replace")

    def test_an_app_that_writes_nothing_has_an_empty_log(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role("pass"))
        follower = job.follow()
        assert follower.until_the_end() == job.log() == []

    @pytest.mark.parametrize(("role", "k"), [("no-such-role", 0), ("job", 1), ("job", -1)])
    def test_a_log_that_cannot_exist_is_an_error_at_once(
        self, harness: SchedulerHarness, role: str, k: int
    ) -> None:
        job = harness.launch(harness.role(SUCCEED, macros.app_id))
        job.wait()
        with pytest.raises((LookupError, ValueError, RuntimeError)) as raised:
            job.log(role, k)
        told = f"{raised.value} {getattr(raised.value, 'hint', '')}"
        assert re.search(r"\bjob\b", told), "the error tells which replicas there are"
