"""The program behind utils.booth."""

from pathlib import Path

import pytest

from torchx.apps.utils.booth_main import main, parse_args
from torchx.runtime.tracking import FsspecResultTracker


@pytest.mark.parametrize(("x1", "x2", "value"), [("1", "3", 0.0), ("0", "0", 74.0)])
def test_value_is_stored_under_the_trial(x1: str, x2: str, value: float, tmp_path: Path) -> None:
    main(["--x1", x1, "--x2", x2, "--trial_idx", "4", "--tracker_base", str(tmp_path)])
    assert FsspecResultTracker(str(tmp_path))[4] == {"booth_eval": value}


def test_defaults() -> None:
    args = parse_args(["--x1", "1", "--x2", "2"])
    assert (args.trial_idx, args.tracker_base) == (0, "/tmp/torchx-utils-booth")
