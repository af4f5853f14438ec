from __future__ import annotations

import time

from torchx.util.datetime import get_past_epoch_time


def test_days_ago() -> None:
    before_s = int(time.time())
    past_s = get_past_epoch_time(2)
    assert before_s <= past_s + 2 * 86400 <= int(time.time())
