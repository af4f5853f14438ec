"""The memory of the launcher: every job that was submitted through it, on any scheduler.

One SQLite file, ``$TORCHX_HOME/jobs.db``; see `torchx.runner.store.schema` for what is in it.
"""

from torchx.runner.store.jobs import JobStore
from torchx.runner.store.records import Launch, RememberedJob

__all__ = ["JobStore", "Launch", "RememberedJob"]
