from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from torchx.cli import main as cli
from torchx.cli.cmd_configure import CmdConfigure
from torchx.schedulers import get_scheduler_factories

MINE = """\
# my settings, hand-written
[local_cwd]
# where the big disk is
logDir = /big/%Y   # not a comment

[component:dist.ddp]
j=2x8
"""


def configure(*words: str) -> None:
    cli.main(["configure", *words])


def test_a_new_file_has_the_published_form(project: Path) -> None:
    configure("-a", "-s", "local_cwd")
    assert (project / ".torchxconfig").read_text() == (
        "[local_cwd]\nlog_dir = None\nprepend_cwd = False\nauto_set_cuda_visible_devices = False\n"
        "timeout_s = None\ngrace_period_s = 10\ndetach = False\n\n"
    )


def test_it_is_printed_on_request(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure("--print", "-a", "-s", "local_cwd")
    assert capsys.readouterr().out.startswith("[local_cwd]\nlog_dir = None\n")
    configure("--print", "--schedulers", "local_cwd")
    assert capsys.readouterr().out == "[local_cwd]\n\n"
    assert list(project.iterdir()) == []


def test_all_schedulers_are_written_that_are_available(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    assert "[local_cwd]\n" in (project / ".torchxconfig").read_text()


def test_a_file_of_the_user_keeps_every_line(project: Path) -> None:
    path = project / ".torchxconfig"
    path.write_text(MINE)
    path.chmod(0o600)
    configure("-a", "-s", "local_cwd")
    added = (
        "prepend_cwd = False\nauto_set_cuda_visible_devices = False\ntimeout_s = None\n"
        "grace_period_s = 10\ndetach = False\n"
    )
    assert path.read_text() == MINE.replace("# not a comment\n", f"# not a comment\n{added}")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_complete_file_is_not_written_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / ".torchxconfig"
    configure("-a", "-s", "local_cwd")
    before = path.stat()
    configure("-a", "-s", "local_cwd")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("text", "words"),
    [(MINE, ["-s", "local_cwd,local_cwdd"]), ("no section\n", []), ("[a]\n[a]\n", ["-a"])],
    ids=["unknown scheduler", "malformed", "section twice"],
)
def test_a_file_stays_as_it_is_when_something_is_wrong(
    text: str, words: list[str], project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / ".torchxconfig").write_text(text)
    with pytest.raises(SystemExit) as exit_info:
        configure(*words)
    assert exit_info.value.code == 1
    assert (project / ".torchxconfig").read_text() == text
    assert [path.name for path in project.iterdir()] == [".torchxconfig"]


def test_a_link_stays_a_link(project: Path) -> None:
    (project / "real").write_text(MINE)
    (project / ".torchxconfig").symlink_to("real")
    configure("-a", "-s", "local_cwd")
    assert (project / ".torchxconfig").is_symlink()
    assert "grace_period_s" in (project / "real").read_text()


def test_it_says_that_another_file_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHXCONFIG", "")
    configure("-s", "local_cwd")
    assert "`.torchxconfig` is not read as long as TORCHXCONFIG is set" in caplog.text


def test_every_registered_scheduler_can_be_configured_with_a_bare_parser(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in get_scheduler_factories():
        parser, command = argparse.ArgumentParser(), CmdConfigure()
        command.add_arguments(parser)
        command.run(parser.parse_args(["--print", "-a", "-s", name]))
    assert "[local_cwd]\n" in capsys.readouterr().out
