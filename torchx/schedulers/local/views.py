"""Temporary directories through which the kept logs of an app can be reached.

Users of the interface expect the logs of an app without ``log_dir`` below a temporary directory
that goes away with the scheduler object. The logs themselves stay with the state of the app.
"""

from __future__ import annotations

import os

from torchx.schedulers.local.layout import path_component


def make_log_view(log_dir: str, session: str, app_id: str) -> str:
    """Makes a temporary directory with a link to the logs of an app.

    Args:
        log_dir: Where the logs are kept.
        session: Name of the session.
        app_id: Id of the app.

    Returns:
        The temporary directory; ``<session>/<app_id>`` in it is the link.
    """
    import tempfile

    base = tempfile.mkdtemp(prefix="torchx_")
    directory = os.path.join(base, path_component(session))
    os.makedirs(directory, exist_ok=True)
    os.symlink(log_dir, os.path.join(directory, path_component(app_id)))
    return base


def remove_log_view(base: str, maker_pid: int) -> None:
    """Removes what :func:`make_log_view` made, but never what the link points to.

    Args:
        base: The temporary directory; it may be gone already.
        maker_pid: The process that made it; a forked copy of that process leaves it alone.
    """
    if os.getpid() == maker_pid:
        import shutil

        shutil.rmtree(base, ignore_errors=True)
