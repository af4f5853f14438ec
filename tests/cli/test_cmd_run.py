"""``torchx run`` on this machine, with real processes."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

import torchx.schedulers
from torchx.cli.cmd_run import CmdRun
from torchx.cli.main import main
from torchx.cli.waiting import join_log_thread
from torchx.schedulers.api import (
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
)
from torchx.schedulers.local_scheduler import SignalException
from torchx.specs import AppDef, AppDryRunInfo, AppState, CfgVal, runopts
from torchx.util.redact import REDACTED
from torchx.workspace.dir_workspace import DirWorkspaceMixin

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

SLEEPER = """
import torchx.specs as specs

def sleep(until: str) -> specs.AppDef:
    \"\"\"Says `ready` and goes on until a file exists.\"\"\"
    code = (
        "import os, time\\n"
        "print('ready', flush=True)\\n"
        f"while not os.path.exists({until!r}): time.sleep(0.01)\\n"
    )
    role = specs.Role("sleeper", image="", entrypoint="python", args=["-c", code], num_replicas=2)
    return specs.AppDef("sleep", roles=[role])
"""
SECRETIVE = """
import torchx.specs as specs

def secretive() -> specs.AppDef:
    \"\"\"Has secrets.\"\"\"
    env = {"HF_TOKEN": "hf_0123456789", "PLAIN": "yes"}
    args = ["--token", "hf_0123456789", "--url=https://me:pass-word@host/"]
    return specs.AppDef(
        "secretive", roles=[specs.Role("r", image="", entrypoint="true", args=args, env=env)]
    )
"""


class MemoryScheduler(Scheduler[Mapping[str, CfgVal]]):
    """A back end somewhere else: its apps stay as they are."""

    state = AppState.RUNNING

    def __init__(self, session_name: str, **kwargs: object) -> None:
        super().__init__("elsewhere", session_name)

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("queue", type_=str, help="where to wait", default="short")
        return opts

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        pass

    def _submit_dryrun(
        self, app: AppDef, cfg: Mapping[str, CfgVal]
    ) -> AppDryRunInfo[dict[str, object]]:
        return AppDryRunInfo({"name": app.name, **cfg}, repr)

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        return "job-1"

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        return DescribeAppResponse(app_id=app_id, state=self.state, num_restarts=0)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> list[ListAppResponse]:
        return [ListAppResponse("job-1", self.state, name="train")]

    def _cancel_existing(self, app_id: str) -> None:
        raise AssertionError("nobody asked to cancel this")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> type[MemoryScheduler]:
    """Registers a scheduler that is not on this machine."""

    class Elsewhere(MemoryScheduler):
        pass

    plugins = {"elsewhere": Elsewhere}
    monkeypatch.setattr(
        torchx.schedulers,
        "load_group",
        lambda group, default=None: plugins if group == "torchx.schedulers" else default,
    )
    return Elsewhere


def exit_code_of(*words: str) -> object:
    with pytest.raises(SystemExit) as exit_info:
        main(list(words))
    return exit_info.value.code


def test_stdout_gets_the_handle_alone_and_stderr_the_logs(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "utils.echo", "--msg", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("local_cwd://torchx/")
    assert done.stdout.count("\n") == 1
    assert "echo/0 a b\n" in done.stderr
    assert "job finished: `SUCCEEDED`" in done.stderr


def test_main_returns_on_success_and_leaves_the_context_name(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHX_CONTEXT_NAME")
    main(["run", "-s", "local_cwd", "utils.echo", "--msg", "hi"])
    assert "echo/0 hi" in capfd.readouterr().err
    assert os.environ["TORCHX_CONTEXT_NAME"] == "cli_run"


def test_a_failed_app_gives_exit_code_1_and_says_where_to_look(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "utils.sh", "exit", "3")
    assert done.returncode == 1
    assert "FAILED (5)" in done.stderr
    assert f"hint: see `torchx log {done.stdout.strip()}`" in done.stderr
    assert "Traceback" not in done.stderr


def test_tee_logs_streams_too(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "--tee_logs", "utils.echo", "--msg", "tee")
    assert done.returncode == 0, done.stderr
    assert "echo/0 tee\n" in done.stderr


def test_the_logs_of_a_file_component_reach_a_patched_stderr(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mine.py").write_text(
        "import torchx.specs as specs\n"
        "def echo_stderr(msg: str) -> specs.AppDef:\n"
        '    """Writes to stderr."""\n'
        '    args = ["-c", f"echo {msg} >&2"]\n'
        '    return specs.AppDef("e", roles=[\n'
        '        specs.Role("echo", image="", entrypoint="sh", args=args)])\n'
    )
    buffer = io.StringIO()
    monkeypatch.setattr(sys, "stderr", buffer)
    words = ["--wait", "--log", "-s", "local_cwd", "-cfg", "log_dir=logs", "mine.py:echo_stderr"]
    main(["run", *words, "--msg", "toast"])
    assert "echo/0 toast" in buffer.getvalue()


def test_a_dry_run_prints_both_parts_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "-s", "local_cwd", "--dryrun", "utils.touch", "--file", "made"])
    out = capsys.readouterr().out
    assert out.startswith("\n=== APPLICATION ===\n{")
    assert "\n\n=== SCHEDULER REQUEST ===\n" in out
    assert not Path("made").exists()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_are_not_printed_by_a_dry_run(
    options: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mine.py").write_text(SECRETIVE)
    main(["run", "-s", "local_cwd", "--dryrun", *options, "mine.py:secretive"])
    out = capsys.readouterr().out
    assert "hf_0123456789" not in out
    assert "pass-word" not in out
    assert "yes" in out
    assert REDACTED in out


def test_a_dry_run_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "-s", "local_cwd", "-cfg", "log_dir=x", "--dryrun", "--json", "utils.echo"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["scheduler"] == "local_cwd"
    assert shown["cfg"] == {"log_dir": "x"}
    assert shown["app"]["roles"][0]["name"] == "echo"
    assert shown["request"]["app_id"].startswith("echo-")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_dry_run_shows_what_would_be_sent_along_and_sends_nothing(
    options: list[str],
    project: Path,
    elsewhere: type[MemoryScheduler],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Copying(DirWorkspaceMixin, elsewhere):  # type: ignore[misc, valid-type]  # made here
        def _run_opts(self) -> runopts:
            opts = runopts()
            opts.add("job_dir", type_=str, help="where to copy to", default="job")
            return opts

    monkeypatch.setattr(
        torchx.schedulers,
        "load_group",
        lambda group, default=None: (
            {"elsewhere": Copying} if group == "torchx.schedulers" else default
        ),
    )
    (project / "code.py").write_text("x" * 2000)
    main(["run", "-s", "elsewhere", "--dryrun", *options, "utils.echo"])
    out = capsys.readouterr().out
    if options:
        (shown,) = json.loads(out)["workspaces"]
        assert (shown["sent_files"], shown["largest"]) == (1, [["code.py", 2000]])
    else:
        assert out.startswith(f"\n=== WORKSPACE ===\n{project} for echo: 1 file, 2.0 kB\n")
        assert "2.0 kB  code.py\n\n=== APPLICATION ===" in out
    assert not (project / "job").exists()


def test_json_prints_the_outcome_instead_of_the_handle(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "--json", "utils.sh", "exit", "3")
    outcome = json.loads(done.stdout)
    assert done.returncode == 1
    assert (outcome["scheduler"], outcome["state"]) == ("local_cwd", "FAILED")
    assert outcome["handle"] == f"local_cwd://torchx/{outcome['app_id']}"


def test_a_json_object_on_stdin_is_a_call(torchx: Torchx) -> None:
    call = {
        "scheduler": "local_cwd",
        "scheduler_args": {"log_dir": "logs"},
        "component_name": "utils.sh",
        "component_args": {"args": ["echo", "a  b"], "num_replicas": 2},
    }
    done = torchx("run", "--stdin", stdin=json.dumps(call))
    assert done.returncode == 0, done.stderr
    assert "sh/0 a  b\n" in done.stderr
    assert "sh/1 a  b\n" in done.stderr
    assert torchx("run", "--stdin", "--dryrun", stdin=json.dumps(call)).stdout.startswith(
        "\n=== APPLICATION ==="
    )


@pytest.mark.parametrize("options", [[], ["--dryrun"]])
@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"'])
def test_anything_else_on_stdin_exits_with_1(
    text: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert exit_code_of("run", "--stdin", *options) == 1


def test_the_object_on_stdin_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": 1}'))
    command, parser = CmdRun(), argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--stdin"])
    assert command._get_torchx_stdin_args(args) is command._get_torchx_stdin_args(args)
    assert command._get_torchx_stdin_args(parser.parse_args([])) is None


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["utils.echo"], "--component-name-and-args"),
        (["-cfg", "log_dir=x"], "--scheduler-args"),
        (["-s", "local_cwd"], "--scheduler"),
        (["--wait"], "--wait"),
        (["--log"], "--log"),
        (["--tee_logs"], "--tee-logs"),
        (["--detach"], "--detach"),
        (["--workspace", "/x"], "--workspace"),
        (["--parent_run_id", "p"], "--parent-run-id"),
    ],
)
def test_what_belongs_into_the_object_conflicts_with_stdin(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of("run", "--stdin", *words) == 2
    assert f"Cannot specify {named} when using --stdin" in capsys.readouterr().err


def test_defaults_given_explicitly_do_not_conflict_with_stdin(project: Path) -> None:
    command, parser = CmdRun(), argparse.ArgumentParser()
    command.add_arguments(parser)
    words = ["--stdin", "--dryrun", "-s", "local_docker", "--workspace", str(project)]
    command.verify_no_extra_args(parser.parse_args(words))


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["-s", "local_cwd", "no.such"], 1, "no.such"),
        (["-s", "local_cwd", "missing.py:fn"], 1, "missing.py"),
        (["-s", "local_cwd", "-cfg", "log_dri=x", "utils.echo"], 1, "did you mean `log_dir`"),
        (["-s", "local_cwd", "-cfg", "prepend_cwd=maybe", "utils.echo"], 1, "prepend_cwd"),
        (["-s", "local_cwd", "utils.echo", "--nope", "x"], 2, "--nope"),
        (["-s", "nope", "utils.echo"], 2, "invalid choice"),
        (["-s", "local_cw", "utils.echo"], 2, "did you mean `local_cwd`?"),
        (["--dettach", "-s", "local_cwd", "utils.echo"], 2, "did you mean `--detach`?"),
        (["-s", "local_cwd"], 2, "missing component name"),
    ],
)
def test_a_wrong_call_is_explained_without_a_traceback(
    words: list[str], code: int, named: str, torchx: Torchx
) -> None:
    done = torchx("run", *words)
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        starts = [line.partition(" ")[0] for line in done.stderr.splitlines()]
        assert "error:" in starts
        assert "hint:" in starts
        assert done.stderr.count("see `torchx runopts") <= 1


def test_an_unknown_option_in_a_config_file_is_an_error(project: Path, torchx: Torchx) -> None:
    (project / ".torchxconfig").write_text("[local_cwd]\nlog_dri = x\n")
    done = torchx("run", "-s", "local_cwd", "utils.echo")
    assert done.returncode == 1
    assert "log_dri" in done.stderr
    assert "log_dir" in done.stderr


def test_a_default_scheduler_that_is_not_available_points_to_local_cwd(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    modules = {"local_docker": "torchx.schedulers.not_installed_here"}
    monkeypatch.setattr(torchx.schedulers, "DEFAULT_SCHEDULER_MODULES", modules)
    assert exit_code_of("run", "utils.echo") == 1
    assert "scheduler `local_docker` is not available" in caplog.text
    assert "use `-s local_cwd`" in vars(caplog.records[-1])["hint"]


def test_config_gives_scheduler_component_and_defaults(project: Path, torchx: Torchx) -> None:
    (project / ".torchxconfig").write_text(
        "[cli:run]\nscheduler = local_cwd\ncomponent = utils.echo\n"
        "[component:utils.echo]\nmsg = from file\n"
        "[local_cwd]\nlog_dir = logs\n"
    )
    done = torchx("run")
    assert "echo/0 from file\n" in done.stderr
    assert list((project / "logs").rglob("stdout.log"))
    assert "echo/0 given\n" in torchx("run", "--", "--msg", "given").stderr


def test_an_interrupt_cancels_a_local_app_and_says_so(project: Path, torchx: Torchx) -> None:
    (project / "mine.py").write_text(SLEEPER)
    words = ["run", "-s", "local_cwd", "mine.py:sleep", "--until", "never"]
    process = subprocess.Popen(
        [sys.executable, "-m", "torchx.cli.main", *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    handle = process.stdout.readline().strip()
    assert any("ready" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "cancelling the app..." in errors
    assert f"interrupted: `{handle}` was cancelled" in errors
    assert "Traceback" not in errors
    assert "CANCELLED" in torchx("status", handle).stdout


def test_an_interrupt_leaves_a_remote_app_running_and_says_how_to_follow_it(
    elsewhere: type[MemoryScheduler],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def interrupted(scheduler: MemoryScheduler, app_id: str, timeout_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(elsewhere, "wait_for_change", interrupted)
    with caplog.at_level("INFO"):
        assert exit_code_of("run", "-s", "elsewhere", "--wait", "utils.echo") == 130
    assert capsys.readouterr().out == "elsewhere://torchx/job-1\n"
    notice = next(record for record in caplog.records if "keeps running" in record.getMessage())
    assert "torchx log -t elsewhere://torchx/job-1" in vars(notice)["hint"]
    assert "torchx cancel elsewhere://torchx/job-1" in vars(notice)["hint"]


def test_a_remote_app_is_launched_and_not_waited_for(
    elsewhere: type[MemoryScheduler],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        main(["run", "-s", "elsewhere", "utils.echo"])
    assert capsys.readouterr().out == "elsewhere://torchx/job-1\n"
    launched = [text for text in caplog.messages if "launched app" in text]
    assert launched == ["launched app: `elsewhere://torchx/job-1`"]
    assert "State: RUNNING" in caplog.text


def test_a_detached_remote_app_is_not_even_asked_for(
    elsewhere: type[MemoryScheduler],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(scheduler: MemoryScheduler, app_id: str) -> None:
        raise AssertionError(f"{app_id} was asked for")

    monkeypatch.setattr(elsewhere, "describe", refuse)
    main(["run", "-s", "elsewhere", "--detach", "utils.echo"])
    assert capsys.readouterr().out == "elsewhere://torchx/job-1\n"


def test_an_app_that_vanishes_while_it_is_waited_for_is_an_error(
    elsewhere: type[MemoryScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "describe", lambda self, app_id: None)
    parser, command = argparse.ArgumentParser(), CmdRun()
    command.add_arguments(parser)
    args = parser.parse_args(["-s", "elsewhere", "--wait", "utils.echo"])
    with pytest.raises(RuntimeError, match="unknown status"):
        command.run(args)


def test_logs_that_never_end_do_not_hang_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    join_log_thread(thread, silence_s=0)
    release.set()
    thread.join()
    assert "its logs have not" in caplog.text


def test_an_error_while_following_logs_is_reported_and_does_not_fail_the_job(
    elsewhere: type[MemoryScheduler],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_logs(*args: object, **kwargs: object) -> list[str]:
        raise RuntimeError("the log server is down")

    monkeypatch.setattr(elsewhere, "state", AppState.SUCCEEDED)
    monkeypatch.setattr(elsewhere, "log_iter", no_logs)
    main(["run", "-s", "elsewhere", "--log", "utils.echo"])
    assert "the log server is down" in caplog.text


def test_the_runner_is_closed_when_an_exception_passes(
    elsewhere: type[MemoryScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(elsewhere, "close", lambda self: closed.append(True))
    monkeypatch.setattr(elsewhere, "describe", lambda self, app_id: None)
    assert exit_code_of("run", "-s", "elsewhere", "--wait", "utils.echo") == 1
    assert closed == [True]


def test_a_signal_while_waiting_passes_and_the_local_scheduler_is_closed() -> None:
    command, parser = CmdRun(), argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["-s", "local_cwd", "utils.echo"])
    with (
        patch("torchx.runner.Runner.wait", side_effect=SignalException("", signal.SIGTERM)),
        patch("torchx.schedulers.local_scheduler.LocalScheduler.close") as closed,
        pytest.raises(SignalException),
    ):
        command.run(args)
    closed.assert_called()


def test_a_dry_run_of_other_packages_needs_no_more_than_an_app(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @dataclass
    class Stub:
        pass

    info = MagicMock(_app=Stub(), **{"__str__.return_value": "the request"})
    with (
        patch("torchx.runner.Runner.dryrun_component", return_value=info) as dryrun,
        patch("torchx.runner.Runner.run") as run,
    ):
        main(["run", "-s", "local_cwd", "--dryrun", "--parent_run_id", "p", "utils.echo"])
    assert dryrun.call_args.kwargs["parent_run_id"] == "p"
    run.assert_not_called()
    assert "=== APPLICATION ===\n{}\n\n=== SCHEDULER REQUEST ===\nthe request" in (
        capsys.readouterr().out
    )
