"""What this back end refuses."""

from __future__ import annotations

from torchx.errors import TorchXError


class TrainingJobError(TorchXError, ValueError):
    """SageMaker cannot run such an app, or not with these run options."""


class NoSuchInstanceError(TorchXError, RuntimeError):
    """A training job has no such role or replica."""
