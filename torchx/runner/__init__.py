"""Submits apps, and watches, lists, reads and ends them, on every scheduler in the same way."""

from __future__ import annotations

from torchx.runner.api import Runner, get_runner

__all__ = ["Runner", "get_runner"]
