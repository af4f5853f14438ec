"""What importing the runner costs and needs, each in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NEITHER_SCANNED_NOR_LOADED = """
import sys, importlib.metadata
def scan(**_): raise SystemExit("installed distributions were scanned")
importlib.metadata.entry_points = scan
import torchx.runner
loaded = {"asyncio", "argparse", "configparser", "yaml", "docstring_parser", "fsspec", "uuid",
    "torchx.specs.finder", "torchx.specs.file_linter", "torchx.specs.builders",
    "torchx.specs.named_resources_aws", "torchx.schedulers.local_scheduler"} & sys.modules.keys()
assert not loaded, loaded
"""

IN_A_DELETED_DIRECTORY = """
import os, sys, tempfile
folder = tempfile.mkdtemp()
os.chdir(folder)
os.rmdir(folder)
from torchx.runner import config, get_runner
from torchx.runner.api import get_configured_trackers
assert config.find_configs() == []
assert get_configured_trackers() == {}
get_runner().close()
"""

WITHOUT_A_HOME = """
import os, pwd
def no_such_user(uid): raise KeyError(uid)
pwd.getpwuid = no_such_user
del os.environ["HOME"]
from torchx.runner import config
assert config.DEFAULT_CONFIG_DIRS == [os.getcwd()]
"""


@pytest.mark.parametrize(
    "program",
    [NEITHER_SCANNED_NOR_LOADED, IN_A_DELETED_DIRECTORY, WITHOUT_A_HOME],
    ids=["cheap", "deleted working directory", "no home"],
)
def test_the_runner_is_imported(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
