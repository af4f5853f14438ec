"""Times the end of a process to wait() returning: ``wait_latency.py WAIT_INTERVAL_S``."""

import sys
import tempfile
import time
from pathlib import Path

from torchx.runner import get_runner
from torchx.specs import AppDef, Role

with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    moment = Path(log_dir, "end")
    script = f"sleep 0.3; date +%s.%N > {moment}"
    role = Role(name="r", image="/tmp", entrypoint="/bin/sh", args=["-c", script])
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    runner.wait(handle, wait_interval=float(sys.argv[1]))
    print(time.time() - float(moment.read_text()))
