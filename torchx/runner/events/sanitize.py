"""Makes an event fit to leave the process: no secrets, and never bigger than a log line may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torchx.runner.events.api import TorchxEvent
from torchx.util.redact import redact_data, redact_text

MAX_FIELD_CHARS = 8 * 1024
"""Longest text that a field of an event keeps."""

_MAX_METADATA_ITEMS = 64
_CUT = "\n... cut ...\n"


def sanitized(event: TorchxEvent) -> TorchxEvent:
    """Returns a copy of an event without secrets and with bounded texts.

    Args:
        event: Any event, for instance one whose fields a caller of ``log_event`` filled.

    Returns:
        The copy. Texts that are too long keep their beginning and their end.
    """
    changed: dict[str, object] = {}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name == "runcfg" and value is not None:
            changed[field.name] = _shown_runcfg(str(value))
        elif isinstance(value, Mapping):
            changed[field.name] = _shown_metadata(value)
        elif type(value) is str:
            changed[field.name] = bounded(redact_text(value))
    return dataclasses.replace(event, **changed)  # type: ignore[arg-type]  # names come from fields()


def bounded(text: str) -> str:
    """Cuts the middle out of a text that is too long for an event.

    Args:
        text: Any text.

    Returns:
        The text itself, or its two ends joined by a note, at most `MAX_FIELD_CHARS` characters.
    """
    if len(text) <= MAX_FIELD_CHARS:
        return text
    end = (MAX_FIELD_CHARS - len(_CUT)) // 2
    return text[:end] + _CUT + text[-end:]


def _shown_runcfg(runcfg: str) -> str:
    import json

    try:
        decoded = json.loads(runcfg)
    except ValueError:
        return bounded(redact_text(runcfg))
    shown = bounded(json.dumps(redact_data(decoded)))
    return shown if _CUT not in shown else json.dumps({"truncated": shown})


def _shown_metadata(metadata: Mapping[object, object]) -> dict[str, object]:
    import json

    items = list(metadata.items())[:_MAX_METADATA_ITEMS]
    shown: dict[str, object] = {}
    for key, redacted in redact_data(dict(items)).items():
        text = redacted if isinstance(redacted, str) else json.dumps(redacted, default=str)
        fits = len(text) <= MAX_FIELD_CHARS // len(items)
        shown[bounded(str(key))] = redacted if fits else text[: MAX_FIELD_CHARS // len(items)]
    return shown
