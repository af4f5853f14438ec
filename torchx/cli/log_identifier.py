"""What ``torchx log`` is asked to show: an app, a role or some replicas of it."""

from __future__ import annotations

import re

from torchx.util.records import record

ID_FORMAT = "SCHEDULER://[SESSION_NAME]/APP_ID/[ROLE_NAME/[REPLICA_IDS,...]]"
"""How logs are named on the command line."""

_DEFAULT_SESSION = "default"
# Neither pattern can match a text in two ways, so both take time linear in its length.
_SCHEDULER = r"[\w.+-]+"
_REPLICA_IDS = r"[0-9]{1,9}(?:,[0-9]{1,9})*,?"


@record
class LogIdentifier:
    """The parts of an identifier.

    Attributes:
        app_handle: Handle of the app.
        role: Name of the role; None for all roles.
        replica_ids: The replicas of that role, each once; empty for all.
    """

    app_handle: str
    role: str | None = None
    replica_ids: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LogIdentifier | None:
        """Takes an identifier apart.

        Args:
            text: A text in the form of :data:`ID_FORMAT`.

        Returns:
            Its parts, or None if it has another form.
        """
        scheduler, separator, path = text.partition("://")
        session, *names = path.split("/")
        if not (separator and re.fullmatch(_SCHEDULER, scheduler) and text.isprintable()):
            return None
        if not 1 <= len(names) <= 3 or not all(names) or text != text.strip():
            return None
        ids = names[2] if len(names) == 3 else ""
        if ids and not re.fullmatch(_REPLICA_IDS, ids):
            return None
        return cls(
            app_handle=f"{scheduler}://{session or _DEFAULT_SESSION}/{names[0]}",
            role=names[1] if len(names) > 1 else None,
            replica_ids=tuple(dict.fromkeys(int(item) for item in ids.split(",") if item)),
        )
