from __future__ import annotations

from unittest.mock import patch

import pytest

pytest.importorskip("torch")

from torchx.util.cuda import has_cuda_devices


@pytest.mark.parametrize(
    ("is_available", "count", "expected"), [(True, 1, True), (True, 0, False), (False, 1, False)]
)
def test_has_cuda_devices(is_available: bool, count: int, expected: bool) -> None:
    # A machine with and without a GPU cannot both be at hand.
    with (
        patch("torch.cuda.is_available", return_value=is_available),
        patch("torch.cuda.device_count", return_value=count),
    ):
        assert has_cuda_devices() is expected
