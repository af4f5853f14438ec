"""Test suites for tools that run ``unittest``."""

from __future__ import annotations

import unittest


def unittests() -> unittest.TestSuite:
    """Collects the tests of the current directory.

    Returns:
        All tests in files named ``*_test.py``.
    """
    return unittest.defaultTestLoader.discover(".", pattern="*_test.py")
