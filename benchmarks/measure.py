"""Takes measurements of two sides in turns and judges the medians."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import Side

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Benchmark:
    """One kind of work. Less is better in all of them.

    Attributes:
        name: Short name, for ``--only``.
        work: What is done.
        measure: Does it once on a side and returns what it took.
        unit: ``s`` or ``MB``.
        ratio: Budget: the largest ratio of ours to the original; ``None`` if there is none.
        limit: Budget: the largest value of ours, in ``unit``; ``None`` if there is none.
        is_beyond_bare_python: The time that the bare interpreter takes is subtracted.
        rate: Amount and unit of what is processed, to show a speed too.
        rounds: How often it is done on each side.
        quick_rounds: The same with ``--quick``.
    """

    name: str
    work: str
    measure: Callable[[Side], float]
    unit: str = "s"
    ratio: float | None = None
    limit: float | None = None
    is_beyond_bare_python: bool = False
    rate: tuple[float, str] | None = None
    rounds: int = 5
    quick_rounds: int = 2


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        benchmark: What was measured.
        values: Name of the side -> all measurements.
        bare_s: Name of the side -> median time of its bare interpreter.
        error: Why a side could not do it, or empty.
    """

    benchmark: Benchmark
    values: dict[str, list[float]]
    bare_s: dict[str, float] = field(default_factory=dict)
    error: str = ""

    def median(self, side: str) -> float | None:
        """Returns the median of a side, beyond bare Python where that is asked for."""
        values = self.values.get(side)
        if not values:
            return None
        base = self.bare_s[side] if self.benchmark.is_beyond_bare_python else 0.0
        return statistics.median(values) - base

    @property
    def ratio(self) -> float | None:
        ours, original = self.median("ours"), self.median("original")
        if ours is None or original is None or original <= 0:
            return None
        return ours / original

    @property
    def is_within_budget(self) -> bool | None:
        """Tells whether all budgets are met; ``None`` if there is none, or none can be judged."""
        benchmark, ours, ratio = self.benchmark, self.median("ours"), self.ratio
        judged = []
        if benchmark.limit is not None and ours is not None:
            judged.append(ours <= benchmark.limit)
        if benchmark.ratio is not None and ratio is not None:
            judged.append(ratio <= benchmark.ratio)
        return all(judged) if judged else None


class Failed(Exception):
    """A side could not do the work."""


def run_all(
    benchmarks: Sequence[Benchmark], sides: Sequence[Side], *, is_quick: bool
) -> list[Result]:
    """Measures.

    Args:
        benchmarks: What to measure.
        sides: Where, in turns.
        is_quick: Take fewer rounds.

    Returns:
        A result for each benchmark.
    """
    results = []
    for benchmark in benchmarks:
        rounds = benchmark.quick_rounds if is_quick else benchmark.rounds
        results.append(_run(benchmark, sides, rounds))
    return results


def _run(benchmark: Benchmark, sides: Sequence[Side], rounds: int) -> Result:
    values: dict[str, list[float]] = {side.name: [] for side in sides}
    errors: dict[str, str] = {}
    for number in range(rounds + 1):
        # The order changes from round to round, so that neither side is always the second.
        for side in sides if number % 2 else list(reversed(sides)):
            if side.name in errors:
                continue
            if benchmark.is_beyond_bare_python:
                side.bare_s.append(time_of(side, ["-c", "pass"]))
            try:
                value = benchmark.measure(side)
            except Failed as error:
                errors[side.name] = f"{side.name}: {error}"
                continue
            # The first round fills caches and compiles modules.
            if number > 0:
                values[side.name].append(value)
    bare_s = {side.name: statistics.median(side.bare_s) for side in sides if side.bare_s}
    return Result(benchmark, values, bare_s, "; ".join(errors.values()))


def time_of(side: Side, arguments: list[str], exit_codes: Sequence[int] = (0,)) -> float:
    """Measures how long a process takes.

    Args:
        side: Whose interpreter to run.
        arguments: Arguments of the interpreter.
        exit_codes: Which ends are right for our side. The original's are not judged.

    Returns:
        Seconds from start to end.

    Raises:
        Failed: If it ended otherwise.
    """
    start_s = time.perf_counter()
    process = side.run(arguments)
    taken_s = time.perf_counter() - start_s
    if side.is_ours and process.returncode not in exit_codes:
        raise Failed(f"{arguments} exits with {process.returncode}: {_tail(process.stderr)}")
    return taken_s


def reported_by(side: Side, program: str, *arguments: object) -> float:
    """Runs a program that measures something itself.

    Args:
        side: Whose interpreter to run.
        program: File in ``programs/``; it prints its result as JSON in the last line.
        *arguments: Arguments of the program.

    Returns:
        What it reports.

    Raises:
        Failed: If it does not.
    """
    process = side.run([str(PROGRAMS / program), *map(str, arguments)])
    if process.returncode != 0:
        raise Failed(f"{program} exits with {process.returncode}: {_tail(process.stderr)}")
    return float(json.loads(process.stdout.splitlines()[-1]))


def _tail(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip()[-300:]
