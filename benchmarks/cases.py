"""What is measured, and how good it has to be."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.environments import Side
from benchmarks.measure import Benchmark, reported_by, time_of

CLI = "import sys; from torchx.cli.main import main; main(sys.argv[1:])"
LOG_LINES = 1_000_000
LOG_LINE_BYTES = 64
FOLLOWED_BYTES_PER_REPLICA = 4_000_000


def command(*words: str, exit_codes: tuple[int, ...] = (0,)) -> Callable[[Side], float]:
    """Makes the measurement of a ``torchx`` command.

    Args:
        *words: What follows ``torchx``.
        exit_codes: With what it may end.

    Returns:
        The measurement.
    """
    return lambda side: time_of(side, ["-c", CLI, *words], exit_codes)


def program(name: str, *arguments: object) -> Callable[[Side], float]:
    """Makes the measurement that a program takes itself.

    Args:
        name: File in ``programs/``.
        *arguments: Its arguments.

    Returns:
        The measurement.
    """
    return lambda side: reported_by(side, name, *arguments)


def command_benchmark(name: str, work: str, measure: Callable[[Side], float]) -> Benchmark:
    """Makes a benchmark of a command, with the budget that all commands have."""
    return Benchmark(
        name, work, measure, ratio=0.4, is_beyond_bare_python=True, rounds=11, quick_rounds=3
    )


LOG_MEGABYTES = LOG_LINES * LOG_LINE_BYTES / 1e6

BENCHMARKS = [
    Benchmark(
        "import",
        "import torchx.specs",
        lambda side: time_of(side, ["-c", "import torchx.specs"]),
        ratio=0.35,
        is_beyond_bare_python=True,
        rounds=11,
        quick_rounds=3,
    ),
    command_benchmark("help", "torchx --help", command("--help")),
    command_benchmark("version", "torchx --version", command("--version")),
    command_benchmark(
        "status",
        "torchx status (unknown app)",
        command("status", "local_cwd://torchx/none", exit_codes=(1,)),
    ),
    command_benchmark("list", "torchx list", command("list", "-s", "local_cwd")),
    command_benchmark(
        "dryrun",
        "torchx run --dryrun utils.echo",
        command("run", "--dryrun", "-s", "local_cwd", "utils.echo"),
    ),
    Benchmark(
        "submit-1",
        "submit /bin/true, wait(1 s) as the CLI does",
        program("submit.py", 1, 1.0),
        ratio=0.3,
    ),
    Benchmark(
        "submit-1-eager",
        "submit /bin/true, wait(0.01 s)",
        program("submit.py", 1, 0.01),
    ),
    Benchmark(
        "submit-200",
        "submit 200 x /bin/true, wait(1 s) as the CLI does",
        program("submit.py", 200, 1.0),
        ratio=0.2,
    ),
    Benchmark(
        "submit-200-eager",
        "submit 200 x /bin/true, wait(0.01 s)",
        program("submit.py", 200, 0.01),
    ),
    Benchmark(
        "wait",
        "end of process to wait(1 s) returning",
        program("wait_latency.py", 1.0),
        limit=0.02,
    ),
    Benchmark(
        "log-lines",
        "1,000,000 lines through log_lines",
        program("log_lines.py", LOG_LINES, LOG_LINE_BYTES),
        ratio=0.2,
        rate=(LOG_LINES / 1e6, "M lines/s"),
        rounds=3,
        quick_rounds=1,
    ),
    Benchmark(
        "log-cli",
        "1,000,000 lines through `torchx log`, with prefixes",
        program("log_cli.py", LOG_LINES, LOG_LINE_BYTES),
        ratio=0.05,
        rate=(LOG_MEGABYTES, "MB/s"),
        rounds=3,
        quick_rounds=1,
    ),
    Benchmark(
        "follow",
        "a line written to a line followed (worst of 20)",
        program("follow_latency.py", 20),
        limit=0.1,
        rounds=3,
        quick_rounds=1,
    ),
    Benchmark(
        "follow-memory",
        f"peak memory following 64 x {FOLLOWED_BYTES_PER_REPLICA / 1e6:g} MB",
        program("follow_memory.py", 64, FOLLOWED_BYTES_PER_REPLICA),
        unit="MB",
        limit=100,
        rounds=1,
        quick_rounds=1,
    ),
    Benchmark(
        "dryrun-1000",
        "dry run of 1,000 replicas, scheduler loaded",
        program("dryrun.py", 1000),
        ratio=0.2,
        limit=1.0,
    ),
    Benchmark(
        "dryrun-kubernetes-1000",
        "dry run of 1,000 replicas as a Volcano Job, printed, client library loaded",
        program("dryrun_kubernetes.py", 1000),
        ratio=0.2,
        limit=1.0,
        rounds=3,
    ),
    Benchmark(
        "workspace",
        "second submit of 20,000 unchanged files, 200 MB, to a Docker engine",
        program("workspace.py", 20_000, 10_000),
        ratio=0.2,
        limit=0.5,
        rounds=3,
        quick_rounds=1,
    ),
]
