"""Stores the results of a job where the next program finds them.

Example:
    >>> import tempfile
    >>> tracker = FsspecResultTracker(tempfile.mkdtemp())
    >>> tracker["trial-1"] = {"accuracy/mean": 0.97, "accuracy/sem": 0.01}
    >>> tracker["trial-1"]
    {'accuracy/mean': 0.97, 'accuracy/sem': 0.01}
"""

from torchx.runtime.tracking.api import FsspecResultTracker, ResultTracker

__all__ = ["FsspecResultTracker", "ResultTracker"]
