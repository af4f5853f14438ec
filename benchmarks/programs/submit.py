"""Times N replicas of /bin/true from submit to the end: ``submit.py REPLICAS WAIT_INTERVAL_S``."""

import sys
import tempfile
import time

from torchx.runner import get_runner
from torchx.specs import AppDef, AppState, Role

replicas, interval_s = int(sys.argv[1]), float(sys.argv[2])
role = Role(name="r", image="/tmp", entrypoint="/bin/true", num_replicas=replicas)
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    start_s = time.perf_counter()
    handle = runner.run(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    status = runner.wait(handle, wait_interval=interval_s)
    taken_s = time.perf_counter() - start_s
    assert status is not None
    assert status.state == AppState.SUCCEEDED, status
print(taken_s)
