from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from torchx.specs.app import AppDef
from torchx.specs.dryrun import AppDryRunInfo


def test_printing_formats_the_request_once() -> None:
    formatted: list[int] = []

    def fmt(request: int) -> str:
        formatted.append(request)
        return f"request {request}"

    info = AppDryRunInfo(5, fmt)
    assert formatted == []
    assert str(info) == "request 5"
    assert formatted == [5]
    assert (info.request, info._fmt) == (5, fmt)


def test_what_the_runner_sets_can_be_read() -> None:
    info = AppDryRunInfo(5, str)
    assert (info.app, dict(info.cfg), info._scheduler) == (None, {}, None)
    app = AppDef("app")
    info._app, info._cfg, info._scheduler = app, {"queue": "q"}, "slurm"
    assert info.app is app
    assert info.cfg == {"queue": "q"}


def test_options_are_read_only() -> None:
    info = AppDryRunInfo(5, str)
    cfg: Any = info.cfg
    with pytest.raises(TypeError):
        cfg["queue"] = "other"


def test_options_may_be_of_a_class_that_is_no_mapping() -> None:
    info = AppDryRunInfo(5, str)
    cfg: Any = SimpleNamespace(queue="q")
    info._cfg = cfg
    assert info.cfg is cfg
