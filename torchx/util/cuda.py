"""What this process can see of CUDA."""

from __future__ import annotations


def has_cuda_devices() -> bool:
    """Tells whether PyTorch can use a GPU; imports PyTorch.

    Returns:
        True if CUDA is available and has at least one device.

    Raises:
        ModuleNotFoundError: If PyTorch is not installed.
    """
    import torch

    return torch.cuda.is_available() and torch.cuda.device_count() > 0
