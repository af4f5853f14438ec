from __future__ import annotations

import pytest

from torchx import settings


@pytest.mark.parametrize(
    "variable",
    [
        "TORCHX_TRACKERS",
        "TORCHX_PARENT_RUN_ID",
        "TORCHX_JOB_ID",
        "TORCHXCONFIG",
        "TORCHX_INTERNAL_SESSION_ID",
        "TORCHX_IMAGE",
        "TORCHX_PLUGINS_SOURCE",
        "TORCHX_PLUGINS_TIMEOUT_S",
        "TORCHX_WORKSPACE_LIMIT_MB",
        "TORCHX_TRACKER_STRICT",
    ],
)
def test_each_constant_is_the_name_of_its_variable(variable: str) -> None:
    assert getattr(settings, f"ENV_{variable}") == variable
