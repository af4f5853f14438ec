from __future__ import annotations

import io

import pytest

from torchx.util import colors


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_takes_colors_and_a_pipe_does_not() -> None:
    assert colors.paint("x", "GREEN", Terminal()) == "\033[32mx\033[0m"
    assert colors.paint("x", "GREEN", io.StringIO()) == "x"


def test_no_color_wins_over_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert colors.color_code("RED", Terminal()) == ""


@pytest.mark.parametrize(("forced", "expected"), [("1", True), ("0", False)])
def test_force_color_decides_for_every_stream(
    monkeypatch: pytest.MonkeyPatch, forced: str, expected: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", forced)
    assert colors.use_color(io.StringIO()) is expected


def test_a_dumb_a_closed_and_a_missing_terminal_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    closed.close()
    assert not colors.is_terminal(closed)
    assert not colors.is_terminal(None)
    monkeypatch.setenv("TERM", "dumb")
    assert not colors.is_terminal(Terminal())


def test_the_published_constants_are_also_there_under_their_older_name() -> None:
    from torchx.cli import colors as older

    for name in ("GREEN", "BLUE", "ORANGE", "GRAY", "ENDC"):
        assert getattr(older, name) == getattr(colors, name)
