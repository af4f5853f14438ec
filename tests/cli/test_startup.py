"""Which modules commands load: each costs every call, so none comes in unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from torchx.cli.main import main
main(sys.argv[1:])
"""
# Known to be slow, and of no use to a command that only asks.
SLOW = {
    "asyncio",
    "concurrent.futures",
    "configparser",
    "datetime",
    "difflib",
    "docstring_parser",
    "email",
    "fsspec",
    "hashlib",
    "http",
    "importlib.metadata",
    "json",
    "pathlib",
    "platform",
    "pprint",
    "random",
    "rich",
    "shutil",
    "sqlite3",
    "subprocess",
    "tempfile",
    "urllib.parse",
    "uuid",
    "yaml",
    "torchx.runner.bookkeeping",
    "torchx.runner.submit",
    "torchx.schedulers.local.gpus",
    "torchx.schedulers.local.inprocess",
    "torchx.schedulers.local.launch",
    "torchx.schedulers.local.request",
    "torchx.schedulers.local.supervised",
    "torchx.specs.builders",
    "torchx.specs.finder",
    "torchx.specs.named_resources_aws",
    "torchx.util.env_file",
    "torchx.workspace.ignore",
}
HELP = {"logging", "dataclasses", "torchx.runner", "torchx.schedulers", "torchx.specs"} | SLOW
# A dry run makes a request out of a component.
DRY_RUN = SLOW - {
    "docstring_parser",
    "pprint",
    "torchx.runner.bookkeeping",
    "torchx.runner.submit",
    "torchx.schedulers.local.request",
    "torchx.schedulers.local.gpus",
    "torchx.specs.builders",
    "torchx.specs.finder",
}


@pytest.mark.parametrize(
    ("words", "unwanted", "most"),
    [
        (["--help"], HELP, 82),
        (["--version"], HELP, 82),
        (["status", "local_cwd://torchx/none"], SLOW, 182),
        (["list", "-s", "local_cwd"], SLOW, 183),
        (["run", "--dryrun", "-s", "local_cwd", "utils.echo"], DRY_RUN, 233),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_what_it_needs(
    words: list[str], unwanted: set[str], most: int, project: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=60,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert sorted(loaded & unwanted) == []
    assert len(loaded) <= most, sorted(loaded)
