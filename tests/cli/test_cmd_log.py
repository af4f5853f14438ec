from __future__ import annotations

import argparse
import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from queue import Queue
from typing import Any, TextIO
from unittest.mock import patch

import pytest

from torchx.cli.cmd_log import CmdLog, find_role_replicas, get_logs, print_log_lines
from torchx.runner import Runner, get_runner
from torchx.schedulers.api import Stream
from torchx.specs import AppDef, AppState, AppStatus, Role

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

APP = AppDef(
    "app",
    roles=[Role("trainer", image="", num_replicas=2), Role("reader", image="", num_replicas=1)],
)
LINES = ["INFO foo\n", "ERROR bar\n", "INFO baz\n"]


class LogRunner(Runner):
    """Hands out fixed lines, as runners of other packages do that do not call the base."""

    def __init__(self, states: Iterable[AppState | None] = (AppState.RUNNING,)) -> None:
        self._states = list(states)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self) -> LogRunner:
        return self

    def describe(self, app_handle: str) -> AppDef | None:
        return APP

    def status(self, app_handle: str) -> AppStatus | None:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return None if state is None else AppStatus(state)

    def log_lines(self, *args: Any, **kwargs: Any) -> Iterable[str]:
        self.calls.append((args, kwargs))
        return [line for line in LINES if args[3] is None or args[3] in line]


class FailingRunner(LogRunner):
    def log_lines(self, *args: Any, **kwargs: Any) -> Iterable[str]:
        raise RuntimeError(f"no log of {args[1]}/{args[2]}")


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def lines_of(runner: Runner, identifier: str, regex: str | None = None) -> list[str]:
    out = io.StringIO()
    get_logs(out, identifier, regex, runner=runner)
    return sorted(out.getvalue().splitlines())


def test_all_replicas_of_an_app_a_role_or_the_named_ones_are_shown() -> None:
    runner = LogRunner()
    everything = ["reader/0 ERROR bar", "trainer/0 ERROR bar", "trainer/1 ERROR bar"]
    assert lines_of(runner, "slurm://s/app", "ERROR") == everything
    assert lines_of(runner, "slurm://s/app/reader", "ERROR") == everything[:1]
    assert lines_of(runner, "slurm://s/app/trainer/1", "ERROR") == everything[2:]


def test_the_runner_is_asked_in_the_published_form() -> None:
    runner = LogRunner()
    get_logs(io.StringIO(), "a-b:///app/trainer/1", "x", True, runner, Stream.STDERR)
    assert runner.calls == [
        (
            ("a-b://default/app", "trainer", 1, "x"),
            {"should_tail": True, "streams": Stream.STDERR},
        )
    ]


def test_limits_in_time_are_handed_on_only_if_given() -> None:
    runner, moment = LogRunner(), datetime(2026, 1, 31).astimezone()
    get_logs(io.StringIO(), "slurm://s/1/trainer/0", None, runner=runner, since=moment)
    assert runner.calls[0][1] == {"should_tail": False, "streams": None, "since": moment}


def test_named_replicas_need_no_status() -> None:
    assert lines_of(LogRunner([None]), "slurm://s/app/trainer/0", "ERROR")


def test_it_waits_for_the_start_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    runner = LogRunner([AppState.SUBMITTED, AppState.PENDING, AppState.RUNNING])
    with caplog.at_level(logging.INFO):
        assert lines_of(runner, "slurm://s/app/reader", "ERROR")
    assert len([text for text in caplog.messages if "Waiting" in text]) == 1


def test_a_missing_app_is_reported_and_get_logs_returns(caplog: pytest.LogCaptureFixture) -> None:
    assert get_logs(io.StringIO(), "slurm://s/app", None, runner=LogRunner([None])) is False
    assert "not found" in caplog.text


def test_an_unknown_role_exits_with_identifiers_that_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        lines_of(LogRunner(), "slurm://s/app/chief")
    assert exit_info.value.code == 1
    assert "slurm://s/app/trainer, slurm://s/app/reader" in vars(caplog.records[-1])["hint"]


def test_the_first_failure_is_raised_and_the_others_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(RuntimeError, match="no log of"):
        lines_of(FailingRunner(), "slurm://s/app")
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


def test_a_reader_that_is_gone_ends_it_quietly() -> None:
    get_logs(ClosedPipe(), "slurm://s/app", None, runner=LogRunner())
    exceptions: Queue[Exception] = Queue()
    print_log_lines(ClosedPipe(), LogRunner(), "slurm://s/1", "r", 0, None, False, exceptions, None)
    assert exceptions.empty()


def test_lines_of_one_replica_are_printed_for_callers_with_their_own_threads() -> None:
    out, exceptions = io.StringIO(), Queue[Exception]()
    print_log_lines(out, LogRunner(), "slurm://s/1", "r", 0, "ERROR", False, exceptions, None)
    assert out.getvalue() == "r/0 ERROR bar\n"
    with pytest.raises(RuntimeError):
        print_log_lines(out, FailingRunner(), "slurm://s/1", "r", 0, None, False, exceptions, None)
    assert isinstance(exceptions.get_nowait(), RuntimeError)


def test_the_command_uses_the_patched_runner(capsys: pytest.CaptureFixture[str]) -> None:
    command, parser = CmdLog(), argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--regex", "ERROR", "slurm://s/app/reader"])
    with patch("torchx.cli.cmd_log.get_runner", new=LogRunner()):
        command.run(args)
    assert capsys.readouterr().out == "reader/0 ERROR bar\n"


def test_replicas_are_found_by_the_name_other_packages_import() -> None:
    assert find_role_replicas(APP, "reader") == [("reader", 0)]


WRITER = """
import torchx.specs as specs

def write(code: str) -> specs.AppDef:
    \"\"\"Runs python code in two roles.\"\"\"
    return specs.AppDef("write", roles=[
        specs.Role(name, image="", entrypoint="python", args=["-c", code], num_replicas=n)
        for name, n in (("a", 1), ("trainer", 2))
    ])
"""


@pytest.fixture
def write(project: Path) -> Callable[[str], str]:
    """Runs code in three replicas (a/0, trainer/0, trainer/1) and returns the handle."""

    def run(code: str) -> str:
        (project / "writer.py").write_text(WRITER)
        with get_runner() as runner:
            handle = runner.run_component("writer.py:write", ["--code", code], "local_cwd")
            status = runner.wait(handle)
            assert status is not None
            assert status.state == AppState.SUCCEEDED, status
        return str(handle)

    return run


def test_prefixes_have_one_width_and_can_be_left_out(
    write: Callable[[str], str], torchx: Torchx
) -> None:
    handle = write("print('x')")
    done = torchx("log", handle)
    assert sorted(done.stdout.splitlines()) == ["a/0       x", "trainer/0 x", "trainer/1 x"]
    assert torchx("log", "--no-prefix", handle).stdout == "x\nx\nx\n"
    assert torchx("log", "-t", f"{handle}/trainer/1").stdout == "trainer/1 x\n"


def test_colors_are_for_whoever_wants_them(write: Callable[[str], str], torchx: Torchx) -> None:
    handle = write("print('x')")
    assert torchx("log", f"{handle}/a", FORCE_COLOR="1").stdout == "\033[32ma/0\033[0m x\n"
    assert torchx("log", f"{handle}/a", FORCE_COLOR="1", NO_COLOR="1").stdout == "a/0 x\n"


def test_streams_and_regex_choose_lines(write: Callable[[str], str], torchx: Torchx) -> None:
    handle = write("import sys; print('out 1'); print('err 2', file=sys.stderr)")
    assert torchx("log", "--streams", "stderr", f"{handle}/a").stdout == "a/0 err 2\n"
    assert torchx("log", "--streams", "stdout", f"{handle}/a").stdout == "a/0 out 1\n"
    assert torchx("log", "--regex", r"\d$", f"{handle}/a").stdout.count("\n") == 2
    assert torchx("log", "--regex", "^out", f"{handle}/a").stdout == "a/0 out 1\n"


def test_since_and_until_choose_lines(write: Callable[[str], str], torchx: Torchx) -> None:
    handle = write("print('x')")
    assert torchx("log", "--since", "1h", f"{handle}/a").stdout == "a/0 x\n"
    assert torchx("log", "--until", "1h", f"{handle}/a").stdout == ""
    done = torchx("log", "--since", "1h", "--until", "2h", handle)
    assert done.returncode == 1
    assert "--since is not before --until" in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--since", "tomorrow"], "2h30m"), (["--regex", "("], "regular expression")],
)
def test_a_wrong_option_exits_with_2(words: list[str], named: str, torchx: Torchx) -> None:
    done = torchx("log", *words, "local_cwd://torchx/app")
    assert done.returncode == 2
    assert named in done.stderr


def test_one_file_per_replica_holds_its_bytes(
    write: Callable[[str], str], torchx: Torchx, project: Path
) -> None:
    handle = write("import sys; sys.stdout.buffer.write('é\\n\\xff'.encode('latin-1') * 3)")
    done = torchx("log", "-o", "out/logs", handle)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    files = {path.name: path.read_bytes() for path in (project / "out" / "logs").iterdir()}
    assert files == dict.fromkeys(["a-0.log", "trainer-0.log", "trainer-1.log"], b"\xe9\n\xff" * 3)


def test_an_app_or_a_replica_that_does_not_exist_is_an_error(
    write: Callable[[str], str], torchx: Torchx
) -> None:
    done = torchx("log", "local_cwd://torchx/missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: app `local_cwd://torchx/missing` was not found\nhint: ")
    handle = write("pass")
    for missing in (f"{handle}/a/7", "local_cwd://torchx/missing/a/0", "no-such://s/app"):
        done = torchx("log", missing)
        assert done.returncode == 1, missing
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr


def test_a_pipe_that_closes_early_ends_the_command_quietly(
    write: Callable[[str], str], project: Path
) -> None:
    handle = write("for i in range(50_000): print('line', i)")
    process = subprocess.Popen(
        [sys.executable, "-m", "torchx.cli.main", "log", handle],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b" line 0\n" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_large_log_arrives_byte_for_byte_and_in_order(
    write: Callable[[str], str], project: Path
) -> None:
    handle = write("for i in range(100_000): print('zeile', i, 'äöü' * (i % 7))")
    path = project / "log"
    words = [sys.executable, "-m", "torchx.cli.main", "log", f"{handle}/trainer/1"]
    with path.open("wb") as out:
        subprocess.run(words, cwd=project, stdout=out, check=True)
    with path.open(encoding="utf-8") as lines:
        assert_all_lines_in_order(lines)


def assert_all_lines_in_order(lines: TextIO) -> None:
    count = 0
    for line in lines:
        assert line == f"trainer/1 zeile {count} {'äöü' * (count % 7)}\n"
        count += 1
    assert count == 100_000
