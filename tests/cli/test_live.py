from __future__ import annotations

import io
import threading

import pytest

from torchx.cli import live
from torchx.cli.live import LiveLine


class Screen(io.StringIO):
    """Knows when something is on it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self.drawn.set()
        return count


def test_the_line_is_drawn_and_taken_away_again() -> None:
    screen = Screen()
    with LiveLine(screen, lambda: "RUNNING  3s"):
        assert screen.drawn.wait(10)
    assert screen.getvalue().startswith("\r\033[KRUNNING  3s")
    assert screen.getvalue().endswith("\r\033[K")


def test_other_output_comes_between_two_drawings() -> None:
    screen = Screen()
    with LiveLine(screen, lambda: "S", interval_s=60):
        assert screen.drawn.wait(10)
        with live.hidden():
            screen.write("log\n")
    assert screen.getvalue() == "\r\033[KS" + "\r\033[K" + "log\n" + "\r\033[KS" + "\r\033[K"


def test_a_line_that_has_not_ended_is_not_overwritten() -> None:
    screen = Screen()
    with LiveLine(screen, lambda: "S", interval_s=60):
        assert screen.drawn.wait(10)
        with live.hidden(lambda: False):
            screen.write("progress 50%")
    assert screen.getvalue().endswith("progress 50%")


def test_a_long_text_is_cut_to_the_width_of_the_terminal() -> None:
    screen = Screen()
    with LiveLine(screen, lambda: "x" * 500):
        assert screen.drawn.wait(10)
    assert "x" * 79 in screen.getvalue()
    assert "x" * 80 not in screen.getvalue()


def test_without_a_line_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with live.hidden():
        pass
    assert capsys.readouterr() == ("", "")
