from __future__ import annotations

import json
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from torchx.runner.events import log_event
from torchx.runner.telemetry import note_app, runcfg_json
from torchx.specs import AppDef


@pytest.mark.parametrize(
    ("cfg", "told"),
    [
        ({"a": 1, "b": [1]}, {"a": 1, "b": [1]}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (SimpleNamespace(a=1), {"a": 1}),
        ("text", "text"),
        ({"a": {1}}, {"a": "{1}"}),
    ],
)
def test_any_kind_of_run_options_is_told(cfg: object, told: object) -> None:
    assert json.loads(runcfg_json(cfg) or "") == told


@pytest.mark.parametrize("cfg", [None, {}])
def test_no_run_options_are_nothing(cfg: object) -> None:
    assert runcfg_json(cfg) is None


def test_run_options_that_cannot_be_told_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    circular: dict[str, object] = {}
    circular["self"] = circular
    assert runcfg_json(circular) is None
    assert "could not be put into an event" in caplog.text


def test_an_app_without_roles_is_noted() -> None:
    ctx = log_event("run")
    note_app(ctx, "s", "a-1", AppDef("a"))
    assert (ctx._torchx_event.app_id, ctx._torchx_event.app_image) == ("a-1", None)


def test_an_app_that_cannot_be_noted_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    odd: Any = SimpleNamespace(roles=7)
    note_app(log_event("run"), "s", "a-1", odd)
    assert "could not be completed" in caplog.text
