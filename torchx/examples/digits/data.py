"""The handwritten digits that ship with scikit-learn: 1797 images of 8 x 8 pixels."""

from __future__ import annotations

import io

import torch
import torch.distributed as dist
from torch.utils.data import TensorDataset

_TEST_SHARE = 0.2
_SPLIT_SEED = 0  # not a setting: runs are compared on the same test images


def load_digits(source: str = "") -> tuple[TensorDataset, TensorDataset]:
    """Loads the data on the first worker and hands it to the others.

    Args:
        source: Path or URL of a file that the program ``preprocess`` has written; by default the
            data come from scikit-learn as they are.

    Returns:
        Images to train on and images to test with, no image in both. Each item is an image of shape
        (1, 8, 8) with values around 0 or from 0 to 1, and its digit.

    Raises:
        OSError: The file cannot be read.
    """
    # Importing scikit-learn takes seconds, so that one worker does it for all.
    tensors: list[torch.Tensor | None] = [None, None]
    if dist.get_rank() == 0:
        tensors = list(read_file(source) if source else read_raw())
    dist.broadcast_object_list(tensors)
    images, digits = (tensor for tensor in tensors if tensor is not None)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    num_test = round(len(images) * _TEST_SHARE)
    test, train = order[:num_test], order[num_test:]
    return TensorDataset(images[train], digits[train]), TensorDataset(images[test], digits[test])


def read_raw() -> tuple[torch.Tensor, torch.Tensor]:
    """Reads the data that ship with scikit-learn.

    Returns:
        Images of shape (n, 1, 8, 8) with values from 0 to 1, and their digits.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(bunch.target)


def read_file(source: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads what `write_file` has written.

    Args:
        source: Path or URL of the file.

    Returns:
        Images of shape (n, 1, 8, 8), and their digits.

    Raises:
        OSError: The file cannot be read.
    """
    import fsspec

    with fsspec.open(source, "rb") as file:
        content = torch.load(io.BytesIO(file.read()), weights_only=True)
    return content["images"], content["digits"]


def write_file(target: str, images: torch.Tensor, digits: torch.Tensor) -> None:
    """Writes data to a file, which appears whole or not at all.

    Args:
        target: Path or URL of the file.
        images: Images of shape (n, 1, 8, 8).
        digits: Their digits.

    Raises:
        OSError: The file cannot be written.
    """
    from fsspec.core import url_to_fs

    from torchx.util.files import write_bytes

    buffer = io.BytesIO()
    torch.save({"images": images, "digits": digits}, buffer)
    fs, path = url_to_fs(target)
    write_bytes(fs, path, buffer.getvalue())
