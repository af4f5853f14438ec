"""Tells whether a cluster is up, and prepares tests for it."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def need_cluster() -> None:
    """Skips the running test if there is no cluster."""
    if shutil.which("sinfo") is None:
        pytest.skip("Slurm is not installed: scripts/services/slurm-up.sh brings a cluster up")
    answer = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"no cluster is up (scripts/services/slurm-up.sh): {answer.stderr.strip()}")
