"""Prints the peak memory in MB of following logs: ``follow_memory.py REPLICAS BYTES_EACH``."""

import re
import sys
import tempfile
from pathlib import Path

from torchx.cli.cmd_log import get_logs
from torchx.runner import get_runner
from torchx.specs import AppDef, Role

replicas, bytes_each = int(sys.argv[1]), int(sys.argv[2])
source = f"head -c {bytes_each} /dev/zero | tr '\\0' x | fold -w 99"
role = Role("r", "/tmp", entrypoint="/bin/sh", args=["-c", source], num_replicas=replicas)
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    with open("/dev/null", "w") as out:
        get_logs(out, handle, regex=None, should_tail=True, runner=runner)
    status = Path("/proc/self/status").read_text()
found = re.search(r"VmHWM:\s+(\d+) kB", status)
assert found is not None
print(int(found[1]) * 1024 / 1e6)
