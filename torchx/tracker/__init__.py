"""What a job tells about itself while it runs: parameters, curves, artifacts, where they come from.

A program asks for its run and writes to it. The same lines work on every scheduler, with every
tracker, and outside of a job, where they do nothing::

    from torchx.tracker import app_run_from_env

    run = app_run_from_env()
    run.add_params(lr=0.1)
    run.add_metrics(1, loss=0.7)                    # step 1
    run.add_artifact("model", "s3://bucket/model.pt", {"epoch": 1})

Which trackers those are is said where the job is launched, in ``.torchxconfig``. A tracker that
fails is warned about and never ends the job. See `torchx.tracker.api` for writing a tracker.
"""

from torchx.tracker.api import AppRun

__all__ = ["AppRun", "app_run_from_env"]


def app_run_from_env() -> AppRun:
    """Returns the run of this job, with the trackers that its launcher configured.

    Returns:
        The run; outside of a job one without trackers, to which writing does nothing.
    """
    return AppRun.run_from_env()
