"""The handwritten digits that ship with scikit-learn: 1797 images of 8 x 8 pixels."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.utils.data import TensorDataset

_TEST_SHARE = 0.2
_SPLIT_SEED = 0  # not a setting: runs are compared on the same test images


def load_digits() -> tuple[TensorDataset, TensorDataset]:
    """Loads the data on the first worker and hands it to the others.

    Returns:
        Images to train on and images to test with, no image in both. Each item is an image of shape
        (1, 8, 8) with values from 0 to 1, and its digit.
    """
    # Importing scikit-learn takes seconds, so that one worker does it for all.
    tensors: list[torch.Tensor | None] = list(_read()) if dist.get_rank() == 0 else [None, None]
    dist.broadcast_object_list(tensors)
    images, digits = (tensor for tensor in tensors if tensor is not None)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    num_test = round(len(images) * _TEST_SHARE)
    test, train = order[:num_test], order[num_test:]
    return TensorDataset(images[train], digits[train]), TensorDataset(images[test], digits[test])


def _read() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn import datasets

    bunch = datasets.load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(bunch.target)
