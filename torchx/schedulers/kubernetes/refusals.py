"""What is wrong with an app, its options or its request, as errors."""

from __future__ import annotations

from torchx.errors import TorchXError


class KubernetesAppError(TorchXError, ValueError):
    """An app, an option or a request is not what a cluster takes."""


class KubernetesAppTypeError(TorchXError, TypeError):
    """A part of an app, or an option, is of a type that cannot be sent."""
