from __future__ import annotations

import io

import pytest

from torchx.workspace.progress import no_progress, shown_progress, size_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [0.0]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("torchx.workspace.progress.time.monotonic", lambda: now_s[0])
    return now_s


def test_a_terminal_has_one_line_that_is_taken_away_again(clock: list[float]) -> None:
    terminal = Terminal()
    with shown_progress(terminal) as progress:
        progress("reading", 0, 2_000_000)
        assert terminal.getvalue() == ""
        clock[0] = 1.0
        progress("reading", 1_000_000, 2_000_000)
        assert terminal.getvalue() == "\r\033[Kreading: 1.0 MB of 2.0 MB"
        clock[0] = 1.05
        progress("reading", 1_500_000, 2_000_000)
    assert terminal.getvalue() == "\r\033[Kreading: 1.0 MB of 2.0 MB\r\033[K"


def test_quick_work_shows_nothing(clock: list[float]) -> None:
    terminal = Terminal()
    with shown_progress(terminal) as progress:
        progress("reading", 1, 1)
    assert terminal.getvalue() == ""


def test_elsewhere_nothing_is_shown() -> None:
    with shown_progress(io.StringIO()) as progress:
        assert progress is no_progress


def test_a_terminal_that_goes_away_does_no_harm(clock: list[float]) -> None:
    terminal = Terminal()
    with shown_progress(terminal) as progress:
        clock[0] = 1.0
        progress("reading", 0, 1)
        terminal.close()
        clock[0] = 2.0
        progress("reading", 1, 1)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_written_for_people(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text
