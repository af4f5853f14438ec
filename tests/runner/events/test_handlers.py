from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.runner.events import _events_loggers, record
from torchx.runner.events.api import TorchxEvent
from torchx.runner.events.handlers import _log_handlers, get_logging_handler

Install = Callable[..., Path]

KEPT = """\
import logging
from torchx.plugins import register

class Keeping(logging.Handler):
    texts = []
    def emit(self, record):
        self.texts.append(record.getMessage())

@register.event_handler()
def lake():
    return Keeping()

@register.event_handler()
def null():
    return Keeping()

@register.event_handler()
def console():
    raise SystemExit("no lake")

@register.event_handler()
def text():
    return "no handler"
"""


@pytest.fixture
def plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install({"torchx_plugins/event_handlers/demo.py": KEPT})
    for logger in ("null", "lake"):
        monkeypatch.delitem(_events_loggers, logger, raising=False)


def test_without_plugins_there_are_two_destinations() -> None:
    assert get_logging_handler() is _log_handlers["null"] is get_logging_handler("null")
    assert get_logging_handler("console") is _log_handlers["console"]
    with pytest.raises(KeyError, match="lake"):
        get_logging_handler("lake")


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize("destination", ["lake", "null"])
def test_a_plugin_gets_the_events_of_its_destination(destination: str) -> None:
    handler = get_logging_handler(destination)
    record(TorchxEvent("session", "local_cwd", "run"), destination)
    texts: list[str] = vars(type(handler))["texts"]
    assert ['"api": "run"' in text for text in texts] == [True]
    del _events_loggers[destination]


@pytest.mark.usefixtures("plugins")
def test_a_plugin_that_makes_no_handler_is_reported_and_the_built_in_one_is_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert get_logging_handler("console") is _log_handlers["console"]
    assert "event handler `console` is not used: SystemExit: no lake" in caplog.text
    with pytest.raises(KeyError):
        get_logging_handler("text")
    assert "event handler `text` is a str, no logging.Handler" in caplog.text
    assert isinstance(get_logging_handler("lake"), logging.Handler)
