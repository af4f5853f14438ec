"""Python programs that several cases run as jobs. They need nothing but Python 3.8."""

from __future__ import annotations

SUCCEED = "print('hello')"

PRINT_AND_HANG = """
import time
print("started", flush=True)
time.sleep(3600)
"""

EXIT_WITH = "import sys; sys.exit(int(sys.argv[1]))"

PRINT_WHO = """
import os, sys
print(sys.argv[1], "says", os.environ["WHO"])
"""
