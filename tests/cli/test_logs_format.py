from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

COMPONENT = """
import warnings
import torchx.specs as specs
from torchx.components.utils import echo

def old() -> specs.AppDef:
    warnings.warn("look out, api_token=hunter22secret", UserWarning)
    return echo(msg="hi")
"""


def test_a_warning_of_python_is_one_line_without_code_and_secrets(
    project: Path, torchx: Torchx
) -> None:
    (project / "mine.py").write_text(COMPONENT)
    done = torchx("run", "-s", "local_cwd", "--dryrun", "mine.py:old")
    (line,) = (line for line in done.stderr.splitlines() if "look out" in line)
    assert "WARNING" in line
    assert "mine.py" not in done.stderr
    assert "hunter22secret" not in done.stderr
