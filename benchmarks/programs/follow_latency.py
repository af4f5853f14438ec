"""Times a line written to a line followed; prints the worst: ``follow_latency.py LINES``."""

import sys
import tempfile
import time

from torchx.runner import get_runner
from torchx.specs import AppDef, Role

WRITER = """
import sys, time
time.sleep(0.5)
for _ in range(int(sys.argv[1])):
    time.sleep(0.083)
    print(time.time(), flush=True)
"""

role = Role(name="r", image="/tmp", entrypoint=sys.executable, args=["-c", WRITER, sys.argv[1]])
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    latencies_s = [
        time.time() - float(line)
        for line in runner.log_lines(handle, "r", 0, should_tail=True)
        if line.strip()
    ]
print(max(latencies_s))
