"""Every answer in JSON is one object of a documented shape, errors included."""

from __future__ import annotations

import argparse
import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import torchx
from torchx.cli.json_output import SCHEMA_VERSION, add_json_option, json_text
from torchx.cli.main import main
from torchx.specs import AppDef, AppState, Role

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

SCHEMA: dict[str, Any] = json.loads((files(torchx) / "cli" / "schema.json").read_text())
ECHO = ("run", "-s", "local_cwd", "--json", "utils.echo")
MISSING = "local_cwd://torchx/missing"


def answer(kind: str, stdout: str) -> dict[str, Any]:
    """Reads the one object that a command has printed and checks it against the schema."""
    assert stdout.count("\n") == 1, stdout
    shown: dict[str, Any] = json.loads(stdout)
    jsonschema.validate(shown, {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})
    jsonschema.validate(shown, SCHEMA)
    assert (shown["schema_version"], shown["kind"]) == (SCHEMA_VERSION, kind)
    return shown


def error(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    told: dict[str, Any] = answer("error", done.stdout)["error"]
    assert told["exit_code"] == done.returncode
    return told


@pytest.fixture
def finished(torchx: Torchx) -> str:
    return torchx("run", "-s", "local_cwd", "utils.echo", "--msg", "hi").stdout.strip()


def test_the_schema_is_one_and_has_every_kind_that_is_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    printed = {
        node.args[0].value
        for path in Path(torchx.__file__).parent.joinpath("cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print_json"
        and isinstance(node.args[0], ast.Constant)
    }
    assert printed <= SCHEMA["$defs"].keys()
    referred = {entry["$ref"].removeprefix("#/$defs/") for entry in SCHEMA["oneOf"]}
    assert printed <= referred


def test_run_and_what_asks_about_it(torchx: Torchx) -> None:
    done = torchx(*ECHO, "--msg", "hi")
    shown = answer("run", done.stdout)
    assert (done.returncode, shown["state"]) == (0, "SUCCEEDED")
    assert "echo/0 hi\n" in done.stderr
    handle = shown["handle"]
    status = answer("status", torchx("status", "--json", handle).stdout)
    assert status["roles"][0]["replicas"][0]["state"] == AppState.SUCCEEDED
    assert answer("cancel", torchx("cancel", "--json", handle).stdout)["handle"] == handle
    lines = torchx("log", "--json", handle).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"role": "echo", "replica": 0, "stream": None, "line": "hi"}
    ]
    jsonschema.validate(json.loads(lines[0]), SCHEMA)
    assert answer("delete", torchx("delete", "--json", handle).stdout)["handle"] == handle


def test_a_failed_app_is_answered_once_and_exits_with_1(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "--json", "utils.sh", "exit 3")
    assert done.returncode == 1
    assert answer("run", done.stdout)["state"] == "FAILED"


def test_the_handle_is_not_lost_when_the_command_is_interrupted(project: Path) -> None:
    words = ["run", "-s", "local_cwd", "--json", "utils.sh", "echo started; sleep 100"]
    process = subprocess.Popen(
        [sys.executable, "-m", "torchx.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "sh/0 started" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    shown = answer("error", out)
    assert shown["handle"].startswith("local_cwd://torchx/sh-")
    assert (process.returncode, shown["error"]["exit_code"]) == (130, 130)


def test_a_dry_run(torchx: Torchx) -> None:
    done = torchx("run", "-s", "local_cwd", "--dryrun", "--json", "utils.echo", "--msg", "hi")
    shown = answer("dryrun", done.stdout)
    assert shown["app"]["roles"][0]["args"] == ["hi"]
    assert shown["request"]["role_params"]["echo"][0]["args"] == ["echo", "hi"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("builtins", ["builtins", "--json"]),
        ("builtin_source", ["builtins", "--print", "utils.echo", "--json"]),
        ("runopts", ["runopts", "--json"]),
        ("version", ["--version", "--json"]),
        ("version", ["--json", "--version"]),
    ],
)
def test_what_needs_no_app(kind: str, words: list[str], torchx: Torchx) -> None:
    done = torchx(*words)
    assert done.returncode == 0
    answer(kind, done.stdout)


def test_options_of_schedulers_are_told_with_their_types(torchx: Torchx) -> None:
    (scheduler,) = answer("runopts", torchx("runopts", "local_cwd", "--json").stdout)["schedulers"]
    assert scheduler["error"] is None
    assert {"name": "log_dir", "type": "str", "required": False, "default": None}.items() <= (
        next(option for option in scheduler["options"] if option["name"] == "log_dir").items()
    )


def test_log_lines_are_told_apart(torchx: Torchx) -> None:
    script = 'printf "a\\r\\nü\\n"; printf "b\\n\\nlast" >&2'
    done = torchx("run", "-s", "local_cwd", "--json", "utils.sh", "--num_replicas", "2", script)
    handle = answer("run", done.stdout)["handle"]
    shown = [json.loads(line) for line in torchx("log", "--json", handle).stdout.splitlines()]
    for replica in (0, 1):
        lines = [entry["line"] for entry in shown if entry["replica"] == replica]
        assert sorted(lines) == ["", "a\r", "b", "last", "ü"]
    stderr = torchx("log", "--json", "--streams", "stderr", f"{handle}/sh/1").stdout.splitlines()
    assert [json.loads(line) for line in stderr] == [
        {"role": "sh", "replica": 1, "stream": "stderr", "line": line} for line in ("b", "", "last")
    ]


@pytest.mark.parametrize("name", ["status", "cancel", "delete", "log"])
def test_a_missing_app_is_told(name: str, torchx: Torchx) -> None:
    done = torchx(name, "--json", MISSING)
    told = error(done)
    assert (told["type"], told["exit_code"]) == ("UnknownAppException", 1)
    assert "missing" in told["message"]
    assert "torchx list" in told["hint"]
    assert not told["transient"]
    assert "missing" in done.stderr


@pytest.mark.parametrize(
    ("words", "type_", "exit_code"),
    [
        (["status", "--json", "nonsense"], "ShortHandleError", 1),
        (["status", "--json", "no-such://s/app"], "UnknownSchedulerException", 1),
        (["log", "--json", "nonsense"], "ShortHandleError", 1),
        (["runopts", "--json", "no_such"], "UnknownSchedulerException", 1),
        (["builtins", "--json", "--print", "no.such"], "ComponentNotFoundException", 1),
        (["run", "--json", "-s", "local_cwd", "no.such"], "ComponentNotFoundException", 1),
        (["run", "--json", "-s", "local_cwd", "-cfg", "x=1", "utils.echo"], None, 1),
        (["run", "--json", "-cfg", "a=1", "-cfg", "b=1", "utils.echo"], "UsageError", 1),
        (["run", "--json", "-s", "nope", "utils.echo"], "UsageError", 2),
        (["run", "-s", "nope", "--json", "utils.echo"], "UsageError", 2),
        (["run", "--json", "-s", "local_cwd"], "UsageError", 2),
        (["run", "--json", "-s", "local_cwd", "utils.echo", "--no", "1"], "UsageError", 2),
        (["status", "--json", "--nope", MISSING], "UsageError", 2),
        (["status", "--nope", "--json"], "UsageError", 2),
        (["log", "--json", "-o", "x", MISSING], "UsageError", 2),
        (["nope", "--json"], "UsageError", 2),
        (["run", "--json", "--stdin"], "CommandError", 1),
    ],
)
def test_errors_are_told(
    words: list[str], type_: str | None, exit_code: int, torchx: Torchx
) -> None:
    done = torchx(*words)
    told = error(done)
    assert (told["type"], told["exit_code"]) == (type_ or told["type"], exit_code)
    assert told["message"]
    assert told["hint"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-s", "nope", "utils.echo", "--json"],
        ["run", "-s", "local_cwd", "utils.echo", "--json"],
        ["run", "-s", "--json", "utils.echo"],
        ["status", "--nope", "--", "--json"],
    ],
)
def test_json_that_is_meant_for_others_is_not_ours(words: list[str], torchx: Torchx) -> None:
    done = torchx(*words)
    assert (done.returncode, done.stdout) == (2, "")


def test_an_error_before_the_words_are_read_is_told(project: Path, torchx: Torchx) -> None:
    (project / ".torchxconfig").write_text("no section\n")
    done = torchx("run", "--json", "-s", "local_cwd", "utils.echo")
    assert error(done)["type"] == "ConfigFileError"


def test_one_command_does_not_ask_for_the_next(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["status", "--json", "x"], ["status", "x"]):
        with pytest.raises(SystemExit):
            main(words)
    assert answer("error", capsys.readouterr().out)


def test_a_reader_that_is_gone_is_no_traceback(project: Path) -> None:
    command = f"{sys.executable} -m torchx.cli.main status --json x | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=project)
    assert done.stdout in ("1\n", "141\n")
    assert "Traceback" not in done.stderr


def test_a_new_command_gets_it_with_one_line() -> None:
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    assert parser.parse_args([]).json is False
    assert parser.parse_args(["--json"]).json is True


def test_whatever_json_does_not_have_is_text() -> None:
    value = {
        1: float("nan"),
        "path": Path("x"),
        "state": AppState.FAILED,
        "set": {1},
        "role": Role("r", "i", env={"TOKEN": "abcdefgh"}),
        "again": "abcdefgh",
        "handle": "s://abcdefgh/1",
    }
    text = json_text(value)
    assert text.isascii()
    assert "\n" not in text
    shown = json.loads(text)
    assert (shown["1"], shown["path"], shown["state"], shown["set"]) == ("nan", "x", 5, [1])
    assert shown["role"]["env"] == {"TOKEN": "<redacted>"}
    assert shown["again"] == "<redacted>"
    assert shown["handle"] == "s://abcdefgh/1"
    assert json.loads(json_text(AppDef("a")))["name"] == "a"
