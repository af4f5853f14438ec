"""Helpers for the tests of schedulers, under the import path that older tests use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def write_shell_script(dir: str, name: str, content: Sequence[str]) -> str:
    """Writes a bash script that can be executed.

    Args:
        dir: Directory of the script; it is created if necessary.
        name: Name of the script.
        content: Its lines.

    Returns:
        Path of the script.
    """
    path = Path(dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["#!/bin/bash", *content]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def is_asan() -> bool:
    """Tells whether the tests run with the address sanitizer.

    Returns:
        True if ``ASAN_OPTIONS`` is set.
    """
    return "ASAN_OPTIONS" in os.environ


def is_tsan() -> bool:
    """Tells whether the tests run with the thread sanitizer.

    Returns:
        True if ``TSAN_OPTIONS`` is set.
    """
    return "TSAN_OPTIONS" in os.environ


def is_asan_or_tsan() -> bool:
    """Tells whether the tests run with one of the two.

    Returns:
        True if either is in use.
    """
    return is_asan() or is_tsan()
