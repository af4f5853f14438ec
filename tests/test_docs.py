"""Runs the snippets of the documentation: ``python`` blocks and ``console`` sessions.

In a console session lines behind ``$``, continued by lines behind ``>``, are run by bash; what
follows is compared with what they print (both streams), where ``...`` stands for any text. A
session without expected output only has to succeed. A block behind an HTML comment
``<!-- not run: reason -->`` is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+-->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.M | re.S
)


class Snippet(NamedTuple):
    document: str
    line: int
    kind: str
    body: str


def snippets() -> list[Snippet]:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            if not block["skip"] and block["kind"] in ("python", "console"):
                line = text.count("\n", 0, block.start()) + 1
                found.append(Snippet(path.name, line, block["kind"], block["body"]))
    return found


def session(body: str) -> list[tuple[str, str]]:
    """Splits a console session into (command, expected output)."""
    steps = re.findall(r"^\$ (.*\n(?:>.*\n)*)((?:(?!\$ ).*\n)*)", body, flags=re.M)
    return [(re.sub("^> ?", "", command, flags=re.M), output) for command, output in steps]


def matches(expected: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.S) is not None


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TORCHX")},
        "HOME": str(tmp_path),
        "TORCHX_HOME": str(tmp_path / "torchx-home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.mark.parametrize("snippet", snippets(), ids=lambda found: f"{found.document}:{found.line}")
def test_snippet(snippet: Snippet, tmp_path: Path, environment: dict[str, str]) -> None:
    if snippet.kind == "python":
        script = tmp_path / "snippet.py"
        script.write_text(snippet.body, encoding="utf-8")
        steps = [(f"{sys.executable} snippet.py", "")]
    else:
        steps = session(snippet.body)
        assert steps, "a console session needs at least one line that starts with '$ '"
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        assert not expected.strip() or matches(expected, done.stdout), f"$ {command}\n{done.stdout}"
