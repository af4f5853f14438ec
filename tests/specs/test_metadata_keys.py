from __future__ import annotations

from torchx.specs.metadata_keys import NA, TORCHX_CONTEXT_NAME, app_metadata


def test_spellings_never_change() -> None:
    assert TORCHX_CONTEXT_NAME == "TORCHX_CONTEXT_NAME"
    assert NA == "<<NA>>"
    assert app_metadata.CONTEXT == "torchx/context"
    assert app_metadata.VERSION == "torchx/version"
    assert app_metadata.SCHEDULER == "torchx/scheduler"
    assert app_metadata.ROLES_PREFIX == "torchx/roles."
