"""The two installations that are compared, each in a virtual environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

ORIGINAL = "torchx==0.7.0"
ROOT = Path(__file__).resolve().parent.parent
_PARTS_OF_A_BUILD = ("torchx", "pyproject.toml", "README.md", "LICENSE")


@dataclass
class Side:
    """One installation.

    Attributes:
        name: ``ours`` or ``original``.
        python: Its interpreter.
        home: Home directory of all that is run with it, initially empty.
        bare_s: Times that its interpreter took to start and do nothing, in seconds.
    """

    name: str
    python: Path
    home: Path
    bare_s: list[float] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        return self.name == "ours"

    def environ(self) -> dict[str, str]:
        """Makes the environment of its processes, without settings for torchx and Python."""
        return {
            **{
                name: value
                for name, value in os.environ.items()
                if "TORCHX" not in name and not name.startswith("PYTHON")
            },
            "HOME": str(self.home),
            "TORCHX_HOME": str(self.home / ".torchx"),
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
        }

    def run(
        self, arguments: list[str], timeout_s: float = 600
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs its interpreter in its home directory.

        Args:
            arguments: Arguments of the interpreter.
            timeout_s: Longest time it may take.

        Returns:
            The process, whatever its exit code.
        """
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.home,
            env=self.environ(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )


def original(cache: Path) -> Path:
    """Installs the original from the package index, unless that was done before.

    Args:
        cache: Directory for the environment.

    Returns:
        Its interpreter.
    """
    directory = cache / f"{ORIGINAL.replace('==', '-')}-kubernetes"
    requirement = ORIGINAL.replace("==", "[kubernetes]==")
    return _environment(directory, [requirement], is_fresh=not directory.exists())


def ours(cache: Path) -> Path:
    """Installs this checkout as its users would, which is not editable.

    Args:
        cache: Directory for the environment.

    Returns:
        Its interpreter.
    """
    directory = cache / "ours"
    with tempfile.TemporaryDirectory() as copy:
        for part in _PARTS_OF_A_BUILD:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(
                    source, Path(copy, part), ignore=shutil.ignore_patterns("__pycache__")
                )
            elif source.exists():
                shutil.copy(source, Path(copy, part))
        python = _environment(
            directory, [f"{copy}[docker,kubernetes]"], is_fresh=not directory.exists()
        )
        _pip_install(python, ["--force-reinstall", "--no-deps", copy])
    return python


def _environment(directory: Path, requirements: list[str], *, is_fresh: bool) -> Path:
    python = directory / "bin" / "python"
    if is_fresh:
        print(f"installing {' '.join(requirements)} in {directory}", file=sys.stderr)
        try:
            venv.create(directory, with_pip=True)
            _pip_install(python, requirements)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
    return python


def _pip_install(python: Path, arguments: list[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True)
