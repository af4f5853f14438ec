from __future__ import annotations

import pytest

from torchx.util.strings import normalize_str


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("abcd123", "abcd123"),
        ("-/_a/b/CD!123!", "abcd123"),
        ("-a-bcd123", "a-bcd123"),
        ("_-job", "job"),
        ("--job", "job"),
        ("!!!", ""),
    ],
)
def test_normalize_str(text: str, name: str) -> None:
    assert normalize_str(text) == name
