"""Finds out what the list of containers does not tell: restarts, reasons, error files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.parse import Detail, Replica, failures, read_detail
from torchx.specs.api import AppState, is_terminal

K = TypeVar("K")
V = TypeVar("V")

_MOST_FAILURES = 32
_MOST_REMEMBERED = 10_000


class Inspector:
    """Inspects containers, those that have ended only once.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._details: dict[tuple[str, str], Detail] = {}
        self._errors: dict[str, str | None] = {}

    def examine(self, replicas: Sequence[Replica]) -> tuple[dict[str, Detail], dict[str, str]]:
        """Inspects the containers of an app of which more is worth knowing.

        Those are containers that may have been restarted, and those that failed, of which the
        first 32 are enough.

        Args:
            replicas: The containers.

        Returns:
            Details, and contents of error files as JSON, by id of the container.
        """
        retried = {
            replica.role
            for replica in replicas
            if replica.description is not None and replica.description.role.max_retries > 0
        }
        failed = [item for item in replicas if item.state == AppState.FAILED]
        worth = [item for item in replicas if item.role in retried]
        worth += [item for item in failed[:_MOST_FAILURES] if item.role not in retried]
        found = self._engine.each(self._detail, worth)
        details = {
            item.container_id: detail
            for item, detail in zip(worth, found, strict=True)
            if detail is not None
        }
        first = [item for item in failures(replicas, details) if item.container_id in details]
        first = first[:_MOST_FAILURES]
        texts = self._engine.each(lambda item: self._error(item, details), first)
        errors = {
            item.container_id: text
            for item, text in zip(first, texts, strict=True)
            if text is not None
        }
        return details, errors

    def _detail(self, replica: Replica) -> Detail | None:
        key = (replica.container_id, replica.word)
        detail = self._details.get(key)
        if detail is None:
            inspection = self._engine.inspect(replica.container_id)
            if inspection is None:
                return None
            detail = read_detail(inspection)
            if is_terminal(replica.state):
                _forget_oldest(self._details)
                self._details[key] = detail
        return detail

    def _error(self, replica: Replica, details: dict[str, Detail]) -> str | None:
        if replica.container_id not in self._errors:
            path = details[replica.container_id].error_file
            data = self._engine.read_file(replica.container_id, path) if path else None
            _forget_oldest(self._errors)
            self._errors[replica.container_id] = None if data is None else _as_json(data)
        return self._errors[replica.container_id]


def _as_json(data: bytes) -> str:
    """Returns an error file as JSON; one that is none is wrapped, not refused."""
    text = data.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return json.dumps({"message": text})


def _forget_oldest(remembered: dict[K, V]) -> None:
    while len(remembered) >= _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))
