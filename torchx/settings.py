"""Names of the environment variables that torchx reads or sets."""

from __future__ import annotations

ENV_TORCHX_TRACKERS = "TORCHX_TRACKERS"
"""Comma-separated names of the trackers that a job reports to."""

ENV_TORCHX_PARENT_RUN_ID = "TORCHX_PARENT_RUN_ID"
"""Id of the run that a job descends from."""

ENV_TORCHX_JOB_ID = "TORCHX_JOB_ID"
"""Handle of the job, set inside of each replica."""

ENV_TORCHXCONFIG = "TORCHXCONFIG"
"""Path of the only ``.torchxconfig`` file to read."""

ENV_TORCHX_INTERNAL_SESSION_ID = "TORCHX_INTERNAL_SESSION_ID"
"""Id that ties together the events of one session."""

ENV_TORCHX_IMAGE = "TORCHX_IMAGE"
"""Image of the replica, set inside of it by schedulers that run containers."""

ENV_TORCHX_ROLE_IDX = "TORCHX_ROLE_IDX"
"""Position of the role in the app, set inside of replicas by AWS Batch."""

ENV_TORCHX_ROLE_NAME = "TORCHX_ROLE_NAME"
"""Name of the role, set inside of replicas by AWS Batch."""

ENV_TORCHX_PLUGINS_SOURCE = "TORCHX_PLUGINS_SOURCE"
"""Where plugins are looked for: 0 nowhere, 1 ``torchx_plugins``, 2 entry points, 3 both."""

ENV_TORCHX_PLUGINS_TIMEOUT_S = "TORCHX_PLUGINS_TIMEOUT_S"
"""Longest time that the import of one plugin may take, in seconds; 0 for no limit."""

ENV_TORCHX_PROFILE = "TORCHX_PROFILE"
"""Name of the profile of ``.torchxconfig`` that is in use."""

ENV_TORCHX_CFG_PREFIX = "TORCHX_CFG_"
"""How the names of variables begin that hold run options: ``TORCHX_CFG_SLURM_PARTITION``."""

ENV_TORCHX_WORKSPACE_LIMIT_MB = "TORCHX_WORKSPACE_LIMIT_MB"
"""How much code is sent along without asking, in MB, or ``off``."""

ENV_TORCHX_TRACKER_STRICT = "TORCHX_TRACKER_STRICT"
"""Set to ``1``, it lets errors of trackers reach the program, which otherwise are warnings."""


def tracker_env(name: str, setting: str) -> str:
    """Returns the name of the variable that holds a setting of a tracker.

    Args:
        name: Name of the tracker.
        setting: ``CONFIG`` or ``FACTORY``.

    Returns:
        For example ``TORCHX_TRACKER_FSSPEC_CONFIG``. What cannot be part of a variable's name is
        replaced by underscores.
    """
    letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper())
    return f"TORCHX_TRACKER_{''.join(letters)}_{setting}"
