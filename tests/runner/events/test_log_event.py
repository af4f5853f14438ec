from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from torchx.runner import events
from torchx.runner.events import TorchxEvent, log_event, record
from torchx.runner.events.handlers import get_logging_handler


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, entry: logging.LogRecord) -> None:
        self.texts.append(entry.getMessage())


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Kept]]:
    """The handler of each destination that was asked for."""
    made: dict[str, Kept] = {}
    monkeypatch.setattr(events, "_events_loggers", {})
    monkeypatch.setattr(
        "torchx.runner.events.get_logging_handler",
        lambda destination="null": made.setdefault(destination, Kept()),
    )
    yield made
    for destination, handler in made.items():
        logger = logging.getLogger(f"torchx-events-{destination}")
        logger.removeHandler(handler)
        logger.addHandler(logging.NullHandler())


def test_a_call_is_timed_and_told(recorded: list[TorchxEvent]) -> None:
    with log_event("status", "sched", "a-1", "img", {"k": "v"}, "{}", "ws") as ctx:
        assert recorded == []
        assert ctx._torchx_event.start_epoch_time_usec
        ctx._torchx_event.app_image = "changed"
    (event,) = recorded
    assert (event.api, event.scheduler, event.app_id) == ("status", "sched", "a-1")
    assert (event.app_image, event.app_metadata) == ("changed", {"k": "v"})
    assert (event.runcfg, event.workspace) == ("{}", "ws")
    assert event.wall_time_usec is not None
    assert event.wall_time_usec >= 0
    assert event.cpu_time_usec is not None
    assert event.raw_exception is None


def test_the_session_is_looked_up_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchx.runner.events.get_session_id_or_create_new", lambda: "mine")
    event = log_event("run")._torchx_event
    assert (event.session, event.scheduler) == ("mine", "")


def test_a_failure_is_told_and_goes_on(recorded: list[TorchxEvent]) -> None:
    with pytest.raises(RuntimeError, match="deep"), log_event("run"):
        raise RuntimeError("deep down")
    (event,) = recorded
    assert (event.exception_type, event.exception_message) == ("RuntimeError", "deep down")
    assert "deep down" in (event.raw_exception or "")
    place = json.loads(event.exception_source_location or "")
    assert (place["filename"], place["name"]) == (
        __file__,
        "test_a_failure_is_told_and_goes_on",
    )
    assert place["lineno"] > 0


def test_a_failure_is_told_without_secrets_and_cut(recorded: list[TorchxEvent]) -> None:
    with pytest.raises(RuntimeError), log_event("run"):
        raise RuntimeError("token=hidden " + "x" * 1_000_000)
    (event,) = recorded
    text = event.serialize()
    assert "hidden" not in text
    assert len(text) < 50_000


def test_events_reach_the_handler_whatever_the_root_logger_says(
    handlers: dict[str, Kept],
) -> None:
    record(TorchxEvent("s", "local", "run"))
    record(TorchxEvent("s", "local", "run"), destination="other")
    assert json.loads(handlers["null"].texts[0])["api"] == "run"
    assert len(handlers["other"].texts) == 1


def test_each_destination_has_one_logger_with_one_handler(handlers: dict[str, Kept]) -> None:
    first, again = (events._get_or_create_logger("a") for _ in range(2))
    other = events._get_or_create_logger("b")
    assert first is again
    assert first is not other
    assert first.name == "torchx-events-a"
    assert first.propagate is False
    assert first.handlers == [handlers["a"]]
    assert other.handlers == [handlers["b"]]
    assert handlers["a"].level == logging.DEBUG


def test_recording_never_raises(
    handlers: dict[str, Kept],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(TorchxEvent):
        def serialize(self) -> str:
            raise ValueError("cannot be told")

    record(Broken("s", "local", "run"))
    assert "cannot be told" in caplog.text

    def down(entry: logging.LogRecord) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(events._get_or_create_logger("null").handlers[0], "emit", down)
    record(TorchxEvent("s", "local", "run"))
    assert "disk full" in caplog.text


def test_an_unknown_destination_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    record(TorchxEvent("s", "local", "run"), destination="nowhere")
    assert "nowhere" in caplog.text


def test_the_console_is_standard_error_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    handler = get_logging_handler("console")
    handler.emit(logging.LogRecord("n", logging.INFO, "", 0, "told", (), None))
    assert capsys.readouterr().err == "told\n"
    assert get_logging_handler("console") is handler


def test_a_destination_without_a_handler_is_an_error() -> None:
    with pytest.raises(KeyError):
        get_logging_handler("nowhere")
