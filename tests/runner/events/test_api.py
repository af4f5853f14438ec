from __future__ import annotations

import json
from typing import Any

import pytest

from torchx.runner.events.api import SourceType, TorchxEvent

FULL = TorchxEvent(
    session="s",
    scheduler="local",
    api="run",
    app_id="a-1",
    app_image="img",
    app_metadata={"k": "v"},
    runcfg="{}",
    source=SourceType.EXTERNAL,
    cpu_time_usec=1,
    wall_time_usec=2,
    start_epoch_time_usec=3,
)


def test_an_event_survives_its_json() -> None:
    assert TorchxEvent.deserialize(FULL.serialize()) == FULL
    assert TorchxEvent.deserialize(FULL) is FULL
    assert str(FULL) == FULL.serialize()


def test_the_json_has_all_fields_in_order() -> None:
    assert list(json.loads(FULL.serialize())) == [
        "session",
        "scheduler",
        "api",
        "app_id",
        "app_image",
        "app_metadata",
        "runcfg",
        "raw_exception",
        "source",
        "cpu_time_usec",
        "wall_time_usec",
        "start_epoch_time_usec",
        "workspace",
        "exception_type",
        "exception_message",
        "exception_source_location",
    ]


@pytest.mark.parametrize("source", ["from the future", None])
def test_an_unknown_source_is_unknown(source: str | None) -> None:
    fields = {"session": "s", "scheduler": "l", "api": "a", "source": source}
    assert TorchxEvent.deserialize(json.dumps(fields)).source is SourceType.UNKNOWN


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(TypeError, match="extra"):
        TorchxEvent.deserialize('{"session": "s", "scheduler": "l", "api": "a", "extra": 1}')


def test_what_is_neither_text_nor_event_is_refused() -> None:
    number: Any = 123
    with pytest.raises(TypeError, match="int"):
        TorchxEvent.deserialize(number)
