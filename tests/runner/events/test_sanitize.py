from __future__ import annotations

import json
from typing import Any

import pytest

from torchx.runner.events import TorchxEvent
from torchx.runner.events.sanitize import MAX_FIELD_CHARS, bounded, sanitized
from torchx.util.redact import REDACTED


def event(**fields: Any) -> TorchxEvent:
    return TorchxEvent("s", "local", "run", **fields)


def test_an_ordinary_event_is_kept_as_it_is() -> None:
    ordinary = event(app_id="a", app_metadata={"k": "v"}, runcfg='{"a": 1}', workspace="/code")
    assert sanitized(ordinary) == ordinary


@pytest.mark.parametrize(
    "fields",
    [
        {"runcfg": '{"api_token": "hidden"}'},
        {"runcfg": '{"deep": {"list": [{"password": "hidden"}]}}'},
        {"runcfg": '{"url": "https://u:hidden@h/"}'},
        {"runcfg": "no json, token=hidden"},
        {"app_metadata": {"secret_key": "hidden", "n": {"token": "hidden"}}},
        {"workspace": "https://u:hidden@h/code"},
        {"exception_message": "password=hidden"},
        {"raw_exception": "Traceback\n token=hidden\n"},
    ],
)
def test_secrets_are_hidden(fields: dict[str, Any]) -> None:
    before = event(**fields)
    text = sanitized(before).serialize()
    assert "hidden" not in text
    assert REDACTED in text
    assert before == event(**fields)


@pytest.mark.parametrize("piece", ["x", "é", "\n", '"', "a=b|", "a://b:"])
def test_every_field_is_bounded(piece: str) -> None:
    text = piece * MAX_FIELD_CHARS
    many: Any = {f"key{i}": {"deep": text} for i in range(200)}
    whole = sanitized(
        event(
            app_id=text,
            app_image=text,
            app_metadata=many,
            runcfg=json.dumps({"a": text}),
            workspace=text,
            raw_exception=text,
            exception_message=text,
        )
    )
    assert max(len(value) for value in vars(whole).values() if type(value) is str) <= (
        2 * MAX_FIELD_CHARS
    )
    assert len(str(whole.app_metadata)) < 20 * MAX_FIELD_CHARS
    assert json.loads(whole.runcfg or "")


def test_a_cut_text_keeps_both_ends() -> None:
    cut = bounded("start" + "." * MAX_FIELD_CHARS + "end")
    assert len(cut) <= MAX_FIELD_CHARS
    assert cut.startswith("start")
    assert cut.endswith("end")
    assert bounded("x" * MAX_FIELD_CHARS) == "x" * MAX_FIELD_CHARS


def test_run_options_without_end_are_cut() -> None:
    nested: Any = "x"
    for _ in range(100):
        nested = [nested]
    assert "..." in (sanitized(event(runcfg=json.dumps(nested))).runcfg or "")
