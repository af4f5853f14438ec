"""Secrets of a job are found nowhere: in no file, no stream, no command line that torchx makes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from torchx.runner import get_runner
from torchx.util.redact import REDACTED

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

MARKER = "this-is-the-replica"
SCRIPT = """
: this-is-the-replica
printf %s "$PLAIN_NAME $PLAIN_TOO $DB_PASSWORD" | sha256sum
printf '{"message": {"message": "login with password=%s failed"}}' "$DB_PASSWORD" \\
    > "$TORCHELASTIC_ERROR_FILE"
while ! [ -e go ]; do sleep 0.05; done
exit 3
"""
COMPONENT = f'''
import logging
import torchx.specs as specs


def app(password: str, uri: str, *words: str) -> specs.AppDef:
    """Waits, then fails.

    Args:
        password: of the database
        uri: of the database
        words: for the program
    """
    logging.getLogger("library").debug("connecting as %s to %s", password, uri)
    env = {{"DB_PASSWORD": password, "DATABASE": uri}}
    role = specs.Role(
        "r", image=".", entrypoint="sh", args=["-c", {SCRIPT!r}, uri, *words], env=env
    )
    role.metadata = {{"native": {{"api_key": password, "env": [{{"name": "X", "value": uri}}]}}}}
    return specs.AppDef("app", roles=[role], metadata={{"note": f"--password {{password}}"}})
'''
# Runs the command line with all events on the console.
LAUNCHER = """
import logging, sys
from torchx.runner import events
events._get_or_create_logger().handlers[:] = [logging.StreamHandler()]
from torchx.cli.main import main
main(sys.argv[1:])
"""


@dataclass
class Planted:
    """One secret for each place that can hold one."""

    env_file: str = "from-file-$$b3a ${app_id} '1'"
    secret_env: str = "from-environment-9f1c"
    default: str = "from-component-default-77d0"
    tracker: str = "from-tracker-config-5e2b"
    argument: str = "from-argument-c41d"
    uri: str = "from-uri-0a9e"
    cfg: str = "from-run-option-6b7f"
    in_argv: tuple[str, ...] = field(init=False)
    hidden: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.in_argv = (self.argument, self.uri, self.cfg)
        self.hidden = (self.env_file, self.secret_env, self.default, self.tracker)

    def found_in(self, text: bytes) -> list[str]:
        spellings = {
            spelling: secret
            for secret in (*self.in_argv, *self.hidden)
            for spelling in (secret, repr(secret)[1:-1], secret[:13])
        }
        return [spelling for spelling in spellings if spelling.encode() in text]


class CommandLines(threading.Thread):
    """Collects the command lines of all processes, as everybody on the machine can."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.005):
            self.look()

    def look(self) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.seen.add(path.read_bytes())
            except OSError:
                continue  # it has ended meanwhile

    def stop(self) -> None:
        self._ended.set()
        self.join()


@pytest.fixture
def planted(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    secrets = Planted()
    (tmp_path / "input").mkdir()
    (tmp_path / "tmp").mkdir()
    (project / "mine.py").write_text(COMPONENT)
    (tmp_path / "input" / "job.env").write_text(f'PLAIN_NAME="{secrets.env_file}"\n')
    (tmp_path / "input" / "config").write_text(
        f"[component:mine.py:app]\npassword = {secrets.default}\n"
        f"[torchx:tracker]\nmine =\n[tracker:mine]\nconfig = s3://me:{secrets.tracker}@bucket/\n"
    )
    monkeypatch.setenv("TORCHXCONFIG", str(tmp_path / "input" / "config"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("PLAIN_TOO", secrets.secret_env)
    return secrets


@pytest.fixture
def command_lines() -> Iterator[CommandLines]:
    watch = CommandLines()
    watch.start()
    yield watch
    watch.stop()


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", LAUNCHER, "--log_level", "DEBUG", *words]


def run_words(planted: Planted, tmp_path: Path, *options: str) -> list[str]:
    secret = ["--env-file", str(tmp_path / "input" / "job.env"), "--secret-env", "PLAIN_TOO"]
    uri = f"postgres://me:{planted.uri}@host/db"
    words = ["mine.py:app", "--uri", uri, "--", "--api-token", planted.argument, "-x"]
    return command("run", "-s", "local_cwd", *secret, *options, *words)


def streams(words: list[str]) -> bytes:
    done = subprocess.run(words, capture_output=True, timeout=120)
    assert done.stdout or done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("--detach",)])
def test_a_secret_is_found_nowhere(
    options: tuple[str, ...],
    planted: Planted,
    project: Path,
    tmp_path: Path,
    command_lines: CommandLines,
) -> None:
    shown = [
        streams(run_words(planted, tmp_path, "--dryrun")),
        streams(run_words(planted, tmp_path, "--dryrun", "--json")),
        streams(run_words(planted, tmp_path, "-cfg", f"api_key={planted.cfg}")),
        streams(run_words(planted, tmp_path, "-cfg", f"password={planted.cfg}", "--json")),
    ]
    assert f"connecting as {REDACTED} to postgres://me:{REDACTED}@".encode() in shown[0]
    launcher = subprocess.Popen(
        run_words(planted, tmp_path, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert launcher.stdout is not None
    handle = launcher.stdout.readline().decode().strip()
    command_lines.look()
    questions = [["status", handle], ["describe", handle], ["rerun", handle, "--dryrun"]]
    for words in [*questions, ["list", "-s", "local_cwd"], ["list"]]:
        shown += [streams(command(*words)), streams(command(*words[:1], "--json", *words[1:]))]
    (project / "go").touch()
    out, err = launcher.communicate(timeout=120)
    get_runner().wait(handle, 1)
    shown += [out, err, streams(command("status", handle)), streams(command("log", handle))]

    assert launcher.returncode == (0 if options else 1)
    assert b"login with password=" in shown[-2]
    digest = f"{planted.env_file} {planted.secret_env} {planted.default}".encode()
    assert hashlib.sha256(digest).hexdigest().encode() in shown[-1]
    for text in shown:
        assert planted.found_in(text) == []
    for path in files_below(tmp_path):
        assert planted.found_in(path.read_bytes()) == [], path
    check_command_lines(planted, command_lines)


def files_below(tmp_path: Path) -> list[Path]:
    """Lists what torchx has left: not what the user wrote, nor what the replica itself did."""
    found = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    left = [
        path
        for path in found
        if path.parent != tmp_path / "input" and path.name not in ("error.json", "mine.py")
    ]
    assert [path for path in left if path.name == "record.json"]
    return left


def check_command_lines(planted: Planted, command_lines: CommandLines) -> None:
    assert [line for line in command_lines.seen if MARKER.encode() in line]
    for line in command_lines.seen:
        by_the_user = b"torchx.cli.main" in line or MARKER.encode() in line
        expected = planted.in_argv if by_the_user else ()
        assert set(planted.found_in(line)) <= {
            spelling for secret in expected for spelling in (secret, secret[:13])
        }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('entrypoint="sh"', 'entrypoint="no-such"'),
        ("env = {", "raise ValueError(f'no-such user: {password} at {uri}')\n    env = {"),
        ('image="."', "image='no-such', max_retries=-1"),
    ],
)
def test_an_app_that_cannot_be_started_does_not_tell_its_secrets(
    before: str, after: str, planted: Planted, project: Path, tmp_path: Path
) -> None:
    text = (project / "mine.py").read_text()
    assert before in text
    (project / "mine.py").write_text(text.replace(before, after))
    shown = streams(run_words(planted, tmp_path, "--json"))
    assert b"no-such" in shown or b"max_retries" in shown
    assert b"Traceback" in shown
    assert b'"kind": "error"' in shown
    assert planted.found_in(shown) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--secret-env", "NOT_SET"], "environment has no variable `NOT_SET`"),
        (["--secret-env", "NO_TOKEN"], "environment has no variable `NO_TOKEN`"),
        (["--secret-env", "NAME=hunter2222"], "takes the name of a variable, not `NAME=...`"),
        (["--secret-env", "hunter-2222"], "no name of a variable"),
        (["--env-file", "missing.env"], "cannot read missing.env"),
        (["--env-file", "bad.env"], "bad.env, line 2"),
    ],
)
def test_what_cannot_be_taken_is_an_error_without_the_secret(
    words: list[str], told: str, project: Path, torchx: Torchx
) -> None:
    (project / "bad.env").write_text("A=1\nhunter2222\n")
    done = torchx("run", "-s", "local_cwd", "--json", *words, "utils.echo")
    assert done.returncode == 1
    assert told in json.loads(done.stdout)["error"]["message"]
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["error:", "hint:"]
    assert "hunter" not in done.stdout + done.stderr
    assert "<redacted>" not in done.stderr


def test_the_environment_wins_over_files_and_the_last_file_over_the_first(
    project: Path, torchx: Torchx
) -> None:
    (project / "1.env").write_text("A=first-1\nB=first-2\nC=first-3\n")
    (project / "2.env").write_text("B=second-2\nC=second-3\n")
    options = ["--env-file", "1.env", "--env-file", "2.env", "--secret-env", "C"]
    script = 'echo "$A $B $C" | tr a-z A-Z'
    done = torchx("run", "-s", "local_cwd", *options, "utils.sh", script, C="environment-3")
    assert "FIRST-1 SECOND-2 ENVIRONMENT-3" in done.stderr


def test_secrets_may_be_named_in_the_object_on_standard_input(
    project: Path, torchx: Torchx
) -> None:
    (project / "1.env").write_text("A=first-1\n")
    request = {
        "scheduler": "local_cwd",
        "scheduler_args": {},
        "component_name": "utils.sh",
        "component_args": {"args": ['echo "$A $B" | tr a-z A-Z']},
        "env_file": "1.env",
        "secret_env": ["B"],
    }
    done = torchx("run", "--stdin", stdin=json.dumps(request), B="second-2")
    assert "FIRST-1 SECOND-2" in done.stderr
