"""Times a long log through log_lines: ``log_lines.py LINES LINE_BYTES``."""

import sys
import tempfile
import time

from torchx.runner import get_runner
from torchx.specs import AppDef, Role

lines, line_bytes = int(sys.argv[1]), int(sys.argv[2])
# All lines have the same length.
source = f"print(*map('{{:0{line_bytes - 1}d}}'.format, range({lines})), sep='\\n')"
role = Role(name="r", image="/tmp", entrypoint=sys.executable, args=["-c", source])
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    runner.wait(handle, wait_interval=0.5)
    start_s = time.perf_counter()
    count = sum(1 for _ in runner.log_lines(handle, "r", 0))
    taken_s = time.perf_counter() - start_s
    # The original tears lines where its blocks end, and so gives a few more.
    assert count >= lines, count
print(taken_s)
