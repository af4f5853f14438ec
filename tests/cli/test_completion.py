from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Torchx
from torchx.cli import completion
from torchx.cli.completion import candidates
from torchx.cli.completion_bash import bash_lines, split_line
from torchx.cli.completion_sources import Candidate, component_names
from torchx.cli.main import get_default_sub_cmds
from torchx.specs.finder import get_components
from torchx.util.config_layers import use_profile

WORDBREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture(autouse=True)
def _no_profile_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_COMPLETION_DEBUG", "1")
    use_profile(None)


def values(*words: str) -> list[str]:
    return [one.value for one in candidates(words)]


def test_commands_are_completed_without_looking_for_plugins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scan(*_: object) -> None:
        raise AssertionError("plugins were looked for")

    monkeypatch.setattr("torchx.cli.main.load_group", scan)
    assert values("") == list(get_default_sub_cmds())
    assert values("ru") == values("-q", "--log_level", "INFO", "ru") == ["run", "runopts"]
    assert all(one.text for one in candidates([""]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--lo"], ["--log_level"]),
        (["--log_level", "D"], ["DEBUG"]),
        (["--log_level=D"], ["--log_level=DEBUG"]),
        (["run", "--dry"], ["--dryrun"]),
        (["run", "--dryrun", "--dry"], []),
        (["run", "-s", "local_c"], ["local_cwd"]),
        (["run", "--scheduler=local_c"], ["--scheduler=local_cwd"]),
        (["run", "-s", "local_cwd", "-cfg", "pre"], ["prepend_cwd="]),
        (["run", "-s", "local_cwd", "-cfg", "log_dir=/x,lo"], []),
        (["run", "-s", "local_cwd", "-cfg", "a=b,log"], ["a=b,log_dir="]),
        (["run", "-s", "local_cwd", "-cfg", "prepend_cwd=t"], ["prepend_cwd=true"]),
        (["run", "utils.ec"], ["utils.echo"]),
        (["run", "--", "utils.echo", "--ms"], ["--msg"]),
        (["run", "--dryrun", "utils.echo", "--ms"], ["--msg"]),
        (["run", "dist.ddp", "--debug", ""], ["true", "false"]),
        (["run", "dist.ddp", "main.py", "--ver"], []),
        (["run", "no.such", "--"], []),
        (["log", "--streams", ""], ["stdout", "stderr", "combined"]),
        (["configure", "-s", "slurm,local_c"], ["slurm,local_cwd"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["completion", "bash", ""], []),
        (["status", "--ro"], ["--roles"]),
        (["runopts", "local_c"], ["local_cwd"]),
    ],
)
def test_words_are_completed_by_their_place(words: list[str], expected: list[str]) -> None:
    assert values(*words) == expected


def test_nothing_is_printed_about_what_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHX_COMPLETION_DEBUG")
    assert values("nope", "--") == []
    Path(".torchxconfig").write_text("no section\n")
    assert values("run", "-cfg", "") == []
    assert "--dryrun" in values("run", "--")


def test_the_configured_scheduler_tells_the_run_options() -> None:
    Path(".torchxconfig").write_text(
        "[profile:here]\nscheduler = local_cwd\n[profile:there]\nscheduler = nope\n"
    )
    assert values("--profile", "") == values("run", "--profile", "") == ["here", "there"]
    assert values("run", "--profile", "here", "-cfg", "log") == ["log_dir="]
    assert values("--profile", "here", "run", "-cfg", "log") == ["log_dir="]


def test_the_names_of_components_are_those_that_can_be_run() -> None:
    assert sorted(component_names()) == sorted(get_components())


def test_components_of_files_are_completed() -> None:
    Path("jobs").mkdir()
    Path("jobs/train.py").write_text(
        "open('executed', 'w')\nfrom torchx.specs import AppDef\nimport torchx.specs as specs\n"
        "def helper(x: int) -> int:\n    return x\n"
        "def train(\n    lr: float = max(1, 2), *args: str\n) -> specs.AppDef:\n    raise OSError\n"
        "def serve() -> 'AppDef':\n    raise ValueError\n"
    )
    Path("jobs/data.txt").touch()
    assert values("run", "jo") == ["jobs/"]
    assert values("run", "jobs/") == ["jobs/train.py:"]
    assert values("run", "jobs/train.py:") == ["jobs/train.py:serve", "jobs/train.py:train"]
    assert values("run", "jobs/train.py:train", "--l") == ["--lr"]
    assert values("run", "jobs/train.py:train", "--lr", "") == []
    assert values("run", "jobs/train.py:absent", "--") == []
    assert not Path("executed").exists()


def test_handles_of_known_apps_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = ["local_cwd://torchx/a-1", "slurm://torchx/2"]
    monkeypatch.setattr(completion, "known_handles", lambda: handles)
    for command in ("status", "log", "cancel", "delete", "describe", "rerun"):
        assert values(command, "") == ["a-1", "2"]
        assert values(command, "a") == ["a-1"]
        assert values(command, "slurm://") == handles[1:]


def test_remembered_apps_are_known(torchx: Torchx) -> None:
    handle = torchx("run", "-s", "local_cwd", "utils.echo").stdout.strip()
    assert completion.known_handles() == [handle]


def test_a_memory_that_cannot_be_read_offers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path))
    (tmp_path / "jobs.db").mkdir()
    assert completion.known_handles() == []


@pytest.mark.parametrize(
    ("line", "words", "quote"),
    [
        ("torchx ", [""], ""),
        ("torchx run", ["run"], ""),
        ("torchx run ", ["run", ""], ""),
        (r"torchx a\ b", ["a b"], ""),
        ("torchx 'a b", ["a b"], "'"),
        ('torchx "a b', ["a b"], '"'),
        ("torchx", [""], ""),
    ],
)
def test_a_line_is_split_as_far_as_it_has_been_typed(
    line: str, words: list[str], quote: str
) -> None:
    assert split_line(line) == (words, quote)


@pytest.mark.parametrize(
    ("line", "wordbreaks", "lines"),
    [
        ("torchx a=x:y", WORDBREAKS, ["yes"]),
        ("torchx a=x:y", " ", ["a=x:yes"]),
        ("torchx 'a=x:y", WORDBREAKS, ["a=x:yes"]),
    ],
)
def test_bash_gets_what_is_behind_its_last_word_break(
    line: str, wordbreaks: str, lines: list[str]
) -> None:
    assert bash_lines(line, wordbreaks, lambda words: [Candidate("a=x:yes")]) == lines


def test_bash_gets_quoted_words() -> None:
    found = bash_lines("torchx x", WORDBREAKS, lambda words: [Candidate("x y$z'.py:")])
    assert found == [r"x\ y\$z\'.py:"]


def test_completing_a_command_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom torchx.cli.main import main\nmain(['__complete', 'zsh', ''])\n"
        "heavy = {'torchx.runner', 'torchx.specs', 'yaml', 'rich', 'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_each_shell_gets_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    completion.print_completions(["bash", "torchx runo", WORDBREAKS])
    completion.print_completions(["fish", "runo"])
    assert capsys.readouterr().out == "runopts\nrunopts\tprint the options of schedulers\n"
