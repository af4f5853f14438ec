"""What torchx writes into the comment of a job, so that any process finds its app again.

The comment is public to all users of a cluster: it holds names and paths, nothing of what the
job was given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

_MARK = re.compile(
    r"torchx:1;id=(?P<id>[^;\s]*);state=(?P<state>[^;\s]*);cwd=(?P<cwd>[^;\s]*)"
    r";roles=(?P<roles>[^;\s]*);parts=(?P<parts>[0-9,]*)(?!\S)"
)


@dataclass(frozen=True)
class Mark:
    """What the comment of a job tells about its app.

    Attributes:
        submission_id: What the submission that made the job was called.
        state_dir: Absolute path of the directory that torchx keeps for the job, or ``""``.
        working_dir: Absolute path of the directory that the job runs in and writes its logs to.
        roles: Name of each role -> number of its replicas, in their order.
        parts: Number of the replicas of each component of the job.
    """

    submission_id: str
    state_dir: str
    working_dir: str
    roles: dict[str, int] = field(default_factory=dict)
    parts: Sequence[int] = ()

    def __str__(self) -> str:
        roles = ",".join(f"{_encode(name)}*{count}" for name, count in self.roles.items())
        return (
            f"torchx:1;id={_encode(self.submission_id)};state={_encode(self.state_dir)}"
            f";cwd={_encode(self.working_dir)};roles={roles}"
            f";parts={','.join(map(str, self.parts))}"
        )

    def replicas(self) -> list[tuple[str, int]]:
        """Returns role and number of each replica, in their order."""
        return [(name, number) for name, count in self.roles.items() for number in range(count)]

    def part(self, offset: int) -> range:
        """Tells which replicas a component of the job holds.

        Args:
            offset: Number of the component.

        Returns:
            Their numbers within the app; none if there is no such component.
        """
        first = sum(self.parts[:offset])
        return range(first, first + sum(self.parts[offset : offset + 1]))


def read_mark(comment: str) -> Mark | None:
    """Finds the mark in the comment of a job.

    Args:
        comment: The comment, of a job of anybody.

    Returns:
        The mark, or ``None`` if torchx did not make the job, or the comment was cut.
    """
    found = _MARK.search(comment)
    if found is None:
        return None
    roles = {}
    for item in filter(None, found["roles"].split(",")):
        name, _, count = item.rpartition("*")
        if not count.isdigit():
            return None
        roles[unquote(name)] = int(count)
    return Mark(
        submission_id=unquote(found["id"]),
        state_dir=unquote(found["state"]),
        working_dir=unquote(found["cwd"]),
        roles=roles,
        parts=tuple(int(count) for count in found["parts"].split(",") if count),
    )


def _encode(text: str) -> str:
    return quote(text, safe="/._-+@=~")
