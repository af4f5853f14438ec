"""The colours of the states of apps and replicas."""

from __future__ import annotations

import re
from typing import TextIO

from torchx.util.colors import paint, use_color

_STATE_COLORS = {
    "UNSUBMITTED": "GRAY",
    "SUBMITTED": "YELLOW",
    "PENDING": "YELLOW",
    "RUNNING": "BLUE",
    "SUCCEEDED": "GREEN",
    "FAILED": "RED",
    "CANCELLED": "ORANGE",
    "UNKNOWN": "GRAY",
}
_STATE = (
    rf"(?m)^(?P<head>    State: |[ *]{{1,2}}\S*\[[0-9]+\]:)(?P<state>{'|'.join(_STATE_COLORS)})\b"
)


def paint_state(state: str, stream: TextIO) -> str:
    """Returns the name of a state in its colour, if a stream takes colours.

    Args:
        state: Name of the state.
        stream: The stream that will be written to.

    Returns:
        The name, with codes around it where they are wanted.
    """
    return paint(state, _STATE_COLORS.get(state, "GRAY"), stream)


def paint_states(text: str, stream: TextIO) -> str:
    """Colours the states in the text of an app's status, if a stream takes colours.

    Args:
        text: What ``AppStatus.format()`` returned.
        stream: The stream that will be written to.

    Returns:
        The text.
    """
    if not use_color(stream):
        return text
    return re.sub(_STATE, lambda found: found["head"] + paint_state(found["state"], stream), text)
