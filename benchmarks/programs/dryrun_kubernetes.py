"""Times a dry run of a Volcano Job, printed: ``dryrun_kubernetes.py REPLICAS``."""

import os
import sys
import time

from torchx.runner import get_runner
from torchx.specs import AppDef, CfgVal, Role, macros

os.environ["KUBECONFIG"] = os.devnull
role = Role(
    name="r",
    image="img",
    entrypoint="/bin/true",
    args=["--id", macros.replica_id, "--job", macros.app_id],
    env={f"NAME_{number}": f"value {number}" for number in range(10)},
    num_replicas=int(sys.argv[1]),
)
first = Role(name="r", image="img", entrypoint="/bin/true")
# The original's check takes a cluster.
cfg: dict[str, CfgVal] = {"queue": "q", "validate_spec": False}
with get_runner() as runner:
    # The time to import the client library is a matter of the first dry run.
    repr(runner.dryrun(AppDef("bench", [first]), "kubernetes", cfg=cfg))
    start_s = time.perf_counter()
    repr(runner.dryrun(AppDef("bench", [role]), "kubernetes", cfg=cfg))
    print(time.perf_counter() - start_s)
