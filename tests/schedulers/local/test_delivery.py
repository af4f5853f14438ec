"""What people write arrives in the replicas byte for byte and stays inside its directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.schedulers.local_scheduler import LocalScheduler
from torchx.specs.api import AppDef, AppState, Role, is_terminal

HOSTILE = [
    "",
    " ",
    "two words",
    "'",
    '"',
    "a'; echo foo",
    "line\nbreak\n",
    "tab\tand\rreturn",
    "$HOME",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned",
    "a,b=c",
    "*",
    "\\",
    "--",
    "äöü 漢字 🚀",
    "x" * 100_000,
]

PROGRAM = """
import os, sys
with open(sys.argv[1], "wb") as file:
    for word in [*sys.argv[2:], os.environ["HOSTILE"], os.getcwd()]:
        file.write(os.fsencode(word) + b"\\0")
"""


@pytest.fixture(params=["a'; echo foo", 'a"=0"', "a\nb", "ä 漢"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    directory = tmp_path / request.param
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("TORCHX_HOME", str(directory / "home"))
    yield directory
    assert not list(tmp_path.rglob("owned"))


def run(scheduler: LocalScheduler, app: AppDef, **cfg: str) -> str:
    app_id = scheduler.submit(app, cfg)
    while (description := scheduler.describe(app_id)) and not is_terminal(description.state):
        scheduler.wait_for_change(app_id, 5)
    assert description is not None
    assert description.state == AppState.SUCCEEDED
    return app_id


def test_args_env_and_directories_arrive_byte_for_byte(
    scheduler: LocalScheduler, directory: Path
) -> None:
    for word in HOSTILE:
        out = directory / "out"
        role = Role(
            "role",
            "",
            entrypoint=sys.executable,
            args=["-c", PROGRAM, str(out), word, "end"],
            env={"HOSTILE": word},
        )
        run(scheduler, AppDef("app", [role]), log_dir=str(directory / "logs"))
        expected = [word, "end", word, str(directory), ""]
        assert out.read_bytes().split(b"\0") == [os.fsencode(text) for text in expected]


@pytest.mark.parametrize(
    "name", ["../../up", "/etc", "..", ".", "", "SUCCESS", "torchelastic", *HOSTILE]
)
def test_names_do_not_escape_directories(
    scheduler: LocalScheduler, tmp_path: Path, name: str
) -> None:
    role = Role(name, "", entrypoint="/bin/echo", args=["out"])
    app_id = run(scheduler, AppDef(name, [role]), log_dir=str(tmp_path / "logs"))
    assert list(scheduler.log_iter(app_id, name)) == ["out\n"]
    (log,) = tmp_path.rglob("stdout.log")
    assert log.resolve().relative_to(tmp_path / "logs" / "session")
    assert len(log.relative_to(tmp_path / "logs" / "session").parts) == 4
    scheduler.delete(app_id)
    assert not list(tmp_path.rglob("*.log"))
    assert scheduler.describe(app_id) is None


def test_text_that_is_no_utf8_arrives_unchanged(
    scheduler: LocalScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    monkeypatch.setenv("HOSTILE", odd)
    out = tmp_path / "out"
    role = Role("r", "", entrypoint=sys.executable, args=["-c", PROGRAM, str(out), odd])
    run(scheduler, AppDef("app", [role]))
    assert out.read_bytes().split(b"\0")[:2] == [b"\xff\xfe", b"\xff\xfe"]


@pytest.mark.parametrize(
    ("args", "env"), [(["a\0b"], {}), ([], {"A": "a\0b"}), ([], {"A=B": "c"}), ([], {"": "c"})]
)
def test_what_cannot_be_passed_to_a_process_is_refused(
    scheduler: LocalScheduler, args: list[str], env: dict[str, str]
) -> None:
    role = Role("r", "", entrypoint="/bin/true", args=args, env=env)
    with pytest.raises(ValueError, match="cannot start replica r/0"):
        scheduler.submit(AppDef("app", [role]), {})
    assert scheduler.list() == []


def test_the_path_of_the_caller_and_of_the_role_stays_as_it_was(
    scheduler: LocalScheduler, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$PATH"\n')
    tool.chmod(0o755)
    before = dict(os.environ)
    role = Role("r", "", entrypoint="tool", env={"PATH": str(tmp_path)})
    app_id = run(scheduler, AppDef("app", [role]))
    expected = os.pathsep.join([str(tmp_path), os.getcwd(), os.environ["PATH"]])
    assert list(scheduler.log_iter(app_id, "r")) == [f"{expected}\n"]
    assert role.env == {"PATH": str(tmp_path)}
    assert dict(os.environ) == before


def test_secrets_are_neither_stored_nor_visible_in_process_lists(
    scheduler: LocalScheduler, home: Path
) -> None:
    script = f'echo started; exec "{sys.executable}" -c "import time; time.sleep(1000)"'
    secret = "s3cr3t-of-this-test"
    role = Role(
        "r",
        "",
        entrypoint="/bin/sh",
        args=["-c", script, "--password", secret, f"--token={secret}"],
        env={"HF_TOKEN": secret},
    )
    info = scheduler.submit_dryrun(AppDef("app", [role]), {})
    assert secret not in str(info)
    app_id = scheduler.schedule(info)
    assert next(iter(scheduler.log_iter(app_id, "r"))) == "started\n"
    stored = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert stored
    assert not any(secret.encode() in content for content in stored)
    command_lines = [
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ]
    assert not any(secret.encode() in line for line in command_lines)
