"""Times a long log through what ``torchx log`` does: ``log_cli.py LINES LINE_BYTES``.

In this process, because only the process that launched a local job can read its log with the
original.
"""

import os
import sys
import tempfile
import time

from torchx.cli.cmd_log import get_logs
from torchx.runner import get_runner
from torchx.specs import AppDef, Role

lines, line_bytes = int(sys.argv[1]), int(sys.argv[2])
source = f"print(*map('{{:0{line_bytes - 1}d}}'.format, range({lines})), sep='\\n')"
role = Role(name="r", image="/tmp", entrypoint=sys.executable, args=["-c", source])
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    runner.wait(handle, wait_interval=0.5)
    with open(os.path.join(log_dir, "out"), "w") as out:
        start_s = time.perf_counter()
        get_logs(out, f"{handle}/r", regex=None, runner=runner)
        out.flush()
        taken_s = time.perf_counter() - start_s
        assert os.fstat(out.fileno()).st_size >= lines * (line_bytes + len("r/0 "))
print(taken_s)
