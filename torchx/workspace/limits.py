"""Asks before much is sent along, since that is mostly a forgotten directory of data."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping

from torchx.settings import ENV_TORCHX_WORKSPACE_LIMIT_MB
from torchx.util.colors import is_terminal
from torchx.workspace.manifest import Item
from torchx.workspace.progress import size_text
from torchx.workspace.tree import Entry, WorkspaceError, leads_outside

log: logging.Logger = logging.getLogger(__name__)

DEFAULT_LIMIT_MB = 500
"""How much is sent along without asking, in MB."""

_SHOWN_FILES = 5
_CREDENTIALS = frozenset(
    [".env", ".netrc", ".pypirc", ".git-credentials", "credentials.json", "id_rsa", "id_ed25519"]
)
_HINT = (
    "name what is not needed in .torchxignore, or set"
    f" {ENV_TORCHX_WORKSPACE_LIMIT_MB} to a higher number (`off`: no limit)"
)


class WorkspaceTooLargeError(WorkspaceError):
    """More than the limit would be sent along, and nobody said yes to that."""


class SizeLimit:
    """The limit for one build. What has been said yes to is not asked again.

    Args:
        asks: Ask if somebody can answer; otherwise refuse.
    """

    def __init__(self, *, asks: bool = True) -> None:
        self._limit_bytes = limit_bytes()
        self._asks = asks

    def check(self, work: str, entries: Collection[Entry]) -> None:
        """Asks a person on a terminal, and refuses elsewhere, if files exceed the limit.

        Args:
            work: What would be done, as in ``send along``.
            entries: The files.

        Raises:
            WorkspaceTooLargeError: They exceed it, and nobody said yes.
        """
        size_bytes = sum(entry.size for entry in entries)
        if self._limit_bytes is None or size_bytes <= self._limit_bytes:
            return
        text = (
            f"to {work} {size_text(size_bytes)} of the workspace in {len(entries):,} files is more"
            f" than the limit of {size_text(self._limit_bytes)}; the largest are"
            f" {_largest(entries)}"
        )
        if not (self._asks and _confirmed(text)):
            raise WorkspaceTooLargeError(text, hint=_HINT)
        self._limit_bytes = None


def limit_bytes() -> int | None:
    """Returns how much is sent along without asking.

    Returns:
        Bytes; ``None`` if there is no limit.

    Raises:
        WorkspaceError: ``TORCHX_WORKSPACE_LIMIT_MB`` is no number.
    """
    configured = os.environ.get(ENV_TORCHX_WORKSPACE_LIMIT_MB, "").strip() or DEFAULT_LIMIT_MB
    if configured == "off":
        return None
    try:
        limit_mb = float(configured)
    except ValueError as error:
        raise WorkspaceError(
            f"{ENV_TORCHX_WORKSPACE_LIMIT_MB}={configured} is no number",
            hint="give a number of MB, or `off`",
        ) from error
    return int(limit_mb * 1_000_000)


def largest_of(entries: Collection[Entry], count: int) -> list[Entry]:
    """Returns the largest files.

    Args:
        entries: The files.
        count: How many to return.

    Returns:
        At most so many, the largest first.
    """
    import heapq

    return heapq.nlargest(count, entries, key=lambda entry: entry.size)


def warn_of_contents(items: Mapping[str, Item]) -> None:
    """Warns of files that look like credentials, and of links that lead out of their project.

    Args:
        items: What is about to be sent along.
    """
    credentials = [path for path in items if path.rpartition("/")[2] in _CREDENTIALS]
    if credentials:
        log.warning(
            "credentials are sent along: %s. Name them in .torchxignore if they are not needed",
            ", ".join(credentials[:_SHOWN_FILES]),
        )
    outside = [path for path, item in items.items() if leads_outside(item.entry)]
    if outside:
        log.warning(
            "links that lead out of the workspace are sent as links, without what they lead to:"
            " %s. To bring that along, map its directory into the workspace",
            ", ".join(outside[:_SHOWN_FILES]),
        )


def _largest(entries: Collection[Entry]) -> str:
    return ", ".join(
        f"{entry.path} ({size_text(entry.size)})" for entry in largest_of(entries, _SHOWN_FILES)
    )


def _confirmed(text: str) -> bool:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    sys.stderr.write(f"\r\033[K{text}. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
