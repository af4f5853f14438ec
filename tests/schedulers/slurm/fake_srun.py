"""Stands in for srun: starts the tasks of each component, as their batch script asks.

It understands ``srun [--option=value]... PROGRAM... [: [--option=value]... PROGRAM...]``, starts
``--ntasks`` processes for each part, numbered on by ``SLURM_PROCID``, ends all when one fails, and
hands SIGTERM and SIGUSR1 on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType


def parts(words: list[str]) -> list[tuple[int, list[str]]]:
    found: list[list[str]] = [[]]
    for word in words:
        if word == ":":
            found.append([])
        else:
            found[-1].append(word)
    result = []
    for part in found:
        count = 0
        while part[count].startswith("--"):
            count += 1
        options = dict(word[2:].partition("=")[::2] for word in part[:count])
        result.append((int(options["ntasks"]), part[count:]))
    return result


def main() -> int:
    tasks: list[subprocess.Popen[bytes]] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        for task in tasks:
            if task.poll() is None:
                task.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, hand_on)
    for ntasks, program in parts(sys.argv[1:]):
        for _ in range(ntasks):
            env = {**os.environ, "SLURM_PROCID": str(len(tasks)), "SLURMD_NODENAME": "node1"}
            tasks.append(subprocess.Popen(program, env=env, stdin=subprocess.DEVNULL))
    left = {task.pid: task for task in tasks}
    worst = 0
    while left:
        pid, status = os.wait()
        task = left.pop(pid, None)
        if task is None:
            continue
        code = os.waitstatus_to_exitcode(status)
        task.returncode = code
        if code and not worst:
            worst = code if code > 0 else 128 - code
            hand_on(signal.SIGTERM, None)
    return worst


sys.exit(main())
