"""The id that ties together everything launched from one process and what that launches in turn."""

from __future__ import annotations

import os
import threading

from torchx.settings import ENV_TORCHX_INTERNAL_SESSION_ID

TORCHX_INTERNAL_SESSION_ID = ENV_TORCHX_INTERNAL_SESSION_ID
"""Name of the environment variable from which a process adopts the session of its launcher."""

CURRENT_SESSION_ID: str | None = None
"""Session of this process, or None as long as nobody asked for it."""

_creation_lock = threading.Lock()


def get_session_id_or_create_new() -> str:
    """Returns the session of this process, adopted or created on first use.

    Returns:
        The id used before in this process, else the one in ``TORCHX_INTERNAL_SESSION_ID``, else a
        new random one. It is kept for the life of the process; the environment is not changed.
    """
    global CURRENT_SESSION_ID
    with _creation_lock:
        if not CURRENT_SESSION_ID:
            CURRENT_SESSION_ID = os.environ.get(TORCHX_INTERNAL_SESSION_ID) or _new_session_id()
        return CURRENT_SESSION_ID


def get_torchx_session_id() -> str | None:
    """Returns the session of this process without creating one.

    Returns:
        The id, or None if nothing asked for a session yet.
    """
    return CURRENT_SESSION_ID


def _new_session_id() -> str:
    # What ``uuid.uuid4`` makes, without the import that takes as long as asking for a status.
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) % 4]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
