"""The exit codes that scripts rely on, see docs/json.md."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

LOCAL = ("run", "-s", "local_cwd")
APP = "local_cwd://torchx/missing"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "json.md"

SUCCESS = [
    ("--version",),
    ("--help",),
    ("run", "--help"),
    ("builtins",),
    ("runopts", "local_cwd"),
    ("list", "-s", "local_cwd"),
    (*LOCAL, "utils.echo"),
    (*LOCAL, "--dryrun", "utils.echo"),
    (*LOCAL, "utils.echo", "--help"),
]
FAILURE = [
    (),
    ("status", APP),
    ("describe", APP),
    ("cancel", APP),
    ("delete", APP),
    ("log", APP),
    ("log", "nonsense"),
    ("status", "nonsense"),
    ("runopts", "nope"),
    ("builtins", "--print", "nope.nope"),
    ("--log_level", "LOUD", "builtins"),
    ("run", "-s", "local_cwd", "-s", "local_cwd", "utils.echo"),
    ("run", "--stdin"),
    (*LOCAL, "nope.nope"),
    (*LOCAL, "mine.py:raises"),
    (*LOCAL, "missing.py:app"),
    (*LOCAL, "-cfg", "nope=1", "utils.echo"),
    (*LOCAL, "-cfg", "timeout_s=soon", "utils.echo"),
    (*LOCAL, "--env-file", "missing.env", "utils.echo"),
    (*LOCAL, "--secret-env", "NOT_SET_AT_ALL", "utils.echo"),
    (*LOCAL, "utils.sh", "exit 3"),
]
USAGE = [
    ("nope",),
    ("status",),
    ("status", "--nope", APP),
    ("log", "--streams", "stdin", APP),
    ("log", "--since", "yesteryear", APP),
    ("run", "-s", "nope", "utils.echo"),
    LOCAL,
    ("run", "--stdin", "utils.echo"),
    (*LOCAL, "utils.echo", "--nope", "1"),
    (*LOCAL, "utils.echo", "--num_replicas", "many"),
    (*LOCAL, "utils.echo", "--msg", "a", "--msg", "b"),
    (*LOCAL, "utils.copy"),
]


@pytest.fixture(autouse=True)
def component(project: Path) -> None:
    (project / "mine.py").write_text(
        "import torchx.specs as specs\n"
        "def raises() -> specs.AppDef:\n"
        '    """Raises."""\n'
        "    raise ValueError('there is no data')\n"
    )


@pytest.mark.parametrize("words", SUCCESS, ids=" ".join)
def test_success_is_0(words: tuple[str, ...], torchx: Torchx) -> None:
    assert torchx(*words).returncode == 0


@pytest.mark.parametrize("words", FAILURE, ids=" ".join)
def test_what_goes_wrong_is_1_and_two_lines(words: tuple[str, ...], torchx: Torchx) -> None:
    done = torchx(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if words:
        starts = [line.partition(" ")[0] for line in done.stderr.splitlines()]
        assert "error:" in starts
        assert starts[starts.index("error:") :].count("hint:") == 1


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_a_wrong_command_line_is_2(words: tuple[str, ...], torchx: Torchx) -> None:
    done = torchx(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"^usage: ", done.stderr, re.M)
    assert "error: " in done.stderr


def test_the_codes_are_documented() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \|", DOCUMENT.read_text(), re.M)
    codes = [int(code) for row in rows for code in row.split(",")]
    assert sorted(set(codes)) == [0, 1, 2, 130, 141, 143]
