"""Ignore files are read as `docker build` reads them: generated trees, judged by both."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import hypothesis
from hypothesis import strategies as st

from tests.real.workspace.conftest import Files
from torchx.workspace.ignore import DOCKER_IGNORE, IgnoreRules, read_patterns, walk_filtered

NAMES = st.sampled_from(
    [*("a", "b", "ab", "a.c", "abc", ".h") * 3, "x y", "[z]", "a]", "{a}", "a+b", "^a", "$a", "ä"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(
    [
        *("a", "b", "ab", "*", "**", "?", "a*", "*b", "a.c", "a?c", "a**", "**b", "a**b", "***"),
        *("[ab]", "[!a]", "[^a]", "[a-c]*", r"[\]a]", r"\*", r"\[z\]", "a]", "{a}", "a+b", "^a"),
        *("$a", "ä", "x y", ".h", ".", ""),
    ]
)
PATTERNS = (
    st.tuples(st.sampled_from(["", "", "!", "/", "./"]), st.lists(PARTS, min_size=1, max_size=3))
    .map(lambda pattern: pattern[0] + "/".join(pattern[1]))
    .filter(lambda text: text != "!")
)


def files_that_count(root: Path) -> set[str]:
    fs = fsspec.filesystem("file")
    rules = IgnoreRules(read_patterns(fs, str(root / DOCKER_IGNORE)))
    return {
        os.path.normpath(os.path.join(os.path.relpath(directory, root), name))
        for directory, _, files in walk_filtered(fs, str(root), rules)
        for name in files
    }


def files_that_docker_sends(root: Path, base: str, files_in: Callable[[str], Files]) -> set[str]:
    dockerfile = root.parent / "Dockerfile"
    dockerfile.write_text(f"FROM {base}\nCOPY . /sent/\n")
    built = subprocess.run(
        ["docker", "build", "--quiet", "--force-rm", "--file", str(dockerfile), str(root)],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    image = built.stdout.strip()
    try:
        return {
            path.removeprefix("sent/")
            for path in files_in(image)
            # The command sends a Dockerfile from elsewhere under a name of its own.
            if path.startswith("sent/") and not path.startswith("sent/.dockerfile.")
        }
    finally:
        subprocess.run(["docker", "rmi", image], check=True, capture_output=True)


@hypothesis.settings(
    max_examples=int(os.environ.get("TORCHX_TEST_EXAMPLES", "15")),
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(
    st.lists(PATHS, min_size=3, max_size=12), st.lists(PATTERNS, min_size=1, max_size=5)
)
@hypothesis.example(["a.c/b/a/b", "b/b/x"], ["***/[!a]/***", "!a*"])
@hypothesis.example(["data/keep", "data/deep/keep", "x"], ["data", "!data/keep", "!data/*/keep"])
@hypothesis.example(["a/b", "ab", "x/b"], ["a**b", "**/b"])
def test_the_same_files_count(
    base: str, files_in: Callable[[str], Files], paths: list[str], patterns: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "context")
        root.mkdir()
        for path in paths:
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
        (root / DOCKER_IGNORE).write_text("\n".join(patterns) + "\n")
        assert files_that_count(root) == files_that_docker_sends(root, base, files_in)
