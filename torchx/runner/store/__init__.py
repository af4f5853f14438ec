"""The memory of the launcher: every job that was submitted through it, on any scheduler.

One SQLite file, ``$TORCHX_HOME/jobs.db``; see `torchx.runner.store.schema` for what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchx.runner.store.launch import Launch

if TYPE_CHECKING:
    from torchx.runner.store.jobs import JobStore
    from torchx.runner.store.records import RememberedJob

__all__ = ["JobStore", "Launch", "RememberedJob"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Serves what only those who open the store need."""
        if name == "JobStore":
            from torchx.runner.store.jobs import JobStore

            return JobStore
        if name == "RememberedJob":
            from torchx.runner.store.records import RememberedJob

            return RememberedJob
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
