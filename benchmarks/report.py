"""Shows results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Benchmark, Result

HEADERS = ("work", "ours", "original", "ratio", "budget", "verdict")
VERDICTS = {True: "ok", False: "MISSED", None: "-"}


def table(results: Sequence[Result]) -> str:
    """Formats results as a table.

    Args:
        results: The results.

    Returns:
        The table, with what went wrong below it.
    """
    rows = [HEADERS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += [f"{result.benchmark.name}: {result.error}" for result in results if result.error]
    return "\n".join(lines)


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Turns results into plain data.

    Args:
        results: The results.

    Returns:
        An object for each, with all measurements.
    """
    return [
        {
            "name": result.benchmark.name,
            "work": result.benchmark.work,
            "unit": result.benchmark.unit,
            "ours": result.median("ours"),
            "original": result.median("original"),
            "ratio": result.ratio,
            "budget_ratio": result.benchmark.ratio,
            "budget_limit": result.benchmark.limit,
            "is_within_budget": result.is_within_budget,
            "measurements": result.values,
            "bare_python_s": result.bare_s,
            "error": result.error,
        }
        for result in results
    ]


def _row(result: Result) -> tuple[str, ...]:
    benchmark = result.benchmark
    return (
        benchmark.work,
        _value(benchmark, result.median("ours")),
        _value(benchmark, result.median("original")),
        "-" if result.ratio is None else f"{result.ratio:.3f}x",
        _budget(benchmark),
        VERDICTS[result.is_within_budget],
    )


def _value(benchmark: Benchmark, value: float | None) -> str:
    if value is None:
        return "-"
    text = _amount(value, benchmark.unit)
    if benchmark.rate is not None and value > 0:
        amount, unit = benchmark.rate
        text += f" ({amount / value:.3g} {unit})"
    return text


def _amount(value: float, unit: str) -> str:
    return f"{value * 1000:.4g} ms" if unit == "s" and value < 1 else f"{value:.4g} {unit}"


def _budget(benchmark: Benchmark) -> str:
    parts = []
    if benchmark.ratio is not None:
        parts.append(f"<= {benchmark.ratio:g}x")
    if benchmark.limit is not None:
        parts.append(f"< {_amount(benchmark.limit, benchmark.unit)}")
    return ", ".join(parts) or "-"
