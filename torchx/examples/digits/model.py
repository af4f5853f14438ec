"""A small convolutional network for images of 8 x 8 pixels."""

from __future__ import annotations

from torch import nn


def build_model() -> nn.Module:
    """Makes a network with random weights.

    Returns:
        A network from images of shape (n, 1, 8, 8) to scores of shape (n, 10).
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )
