"""Times a dry run: ``dryrun.py REPLICAS``."""

import sys
import tempfile
import time

from torchx.runner import get_runner
from torchx.specs import AppDef, Role, macros

role = Role(
    name="r",
    image="/tmp",
    entrypoint="/bin/true",
    args=["--id", macros.replica_id, "--job", macros.app_id],
    env={f"NAME_{number}": f"value {number}" for number in range(10)},
    num_replicas=int(sys.argv[1]),
)
first = Role(name="r", image="/tmp", entrypoint="/bin/true")
with tempfile.TemporaryDirectory() as log_dir, get_runner() as runner:
    # The time to import the scheduler is a matter of other benchmarks.
    runner.dryrun(AppDef("bench", [first]), "local_cwd", cfg={"log_dir": log_dir})
    start_s = time.perf_counter()
    runner.dryrun(AppDef("bench", [role]), "local_cwd", cfg={"log_dir": log_dir})
    print(time.perf_counter() - start_s)
