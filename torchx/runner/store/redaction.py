"""Placeholder joined with the shared redaction at the merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.util.redact import redact_args, redact_value


def redact_data(value: Any, name: str = "") -> Any:
    """Replaces secrets in nested data."""
    if isinstance(value, Mapping):
        return {key: redact_data(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if all(isinstance(item, str) for item in value):
            return redact_args(value)
        return [redact_data(item, name) for item in value]
    return redact_value(name, value) if isinstance(value, str) else value
