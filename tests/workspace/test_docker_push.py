from __future__ import annotations

import io
import sys

import pytest

from torchx.workspace.docker_push import ImagePushError, print_push_events

PREFIX = "\x1b[34mdocker push \x1b[0m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_layers_are_rewritten_in_place() -> None:
    stream = io.StringIO()
    print_push_events(
        [
            {"status": "The push refers to repository [example.com/repo]"},
            {"status": "Preparing", "id": "A"},
            {"status": "Preparing", "id": "B", "progress": ""},
            {"status": "Waiting", "id": "B"},
            {"status": "Pushing", "id": "A", "progress": "[==> ] 1/2"},
            {"aux": {"Tag": "ignored"}},
        ],
        stream,
    )
    assert stream.getvalue() == (
        f"{PREFIX}The push refers to repository [example.com/repo]\n"
        f"{PREFIX}A: Preparing \n"
        f"{PREFIX}B: Preparing \n"
        f"\x1b[1F\x1b[2K{PREFIX}B: Waiting \x1b[1E"
        f"\x1b[2F\x1b[2K{PREFIX}A: Pushing [==> ] 1/2\x1b[2E"
    )


def test_an_error_tells_the_states_of_the_layers() -> None:
    events = [{"status": "Waiting", "id": "A"}, {"error": "denied: no access"}]
    with pytest.raises(RuntimeError, match=r"denied: no access \(layers: A: Waiting\)") as caught:
        print_push_events(events, io.StringIO())
    assert isinstance(caught.value, ImagePushError)
    assert "docker login" in caught.value.hint
    assert not caught.value.transient


def test_by_default_only_terminals_are_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"status": "Preparing", "id": "A"}]
    for stream, shown in ((io.StringIO(), ""), (Terminal(), f"{PREFIX}A: Preparing \n")):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        print_push_events(events)
        assert stream.getvalue() == shown
