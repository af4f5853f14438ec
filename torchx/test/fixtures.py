"""Base classes of tests: one with a directory of its own, one that launches processes with torch.

Nothing here imports torch before a test needs it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Published as constants, so they are decided when the module is imported.
IS_CI: bool = os.environ.get("CI", "").lower() == "true"
"""Whether the tests run in a CI service."""

IS_MACOS: bool = sys.platform == "darwin"
"""Whether the tests run on macOS."""

Tree = dict[str, Any]
"""Name -> text of a file, or the tree of a directory."""


class TestWithTmpDir(unittest.TestCase):
    """A test with a directory that is removed afterwards.

    Attributes:
        tmpdir: The directory. Relative paths given to the methods are relative to it.
    """

    tmpdir: Path

    def setUp(self) -> None:
        """Makes the directory."""
        super().setUp()
        self.tmpdir = Path(tempfile.mkdtemp(prefix=f"torchx-{type(self).__name__}-"))

    def tearDown(self) -> None:
        """Removes the directory."""
        shutil.rmtree(self.tmpdir, ignore_errors=True)
        super().tearDown()

    def touch(self, filepath: str | Path) -> Path:
        """Makes an empty file.

        Args:
            filepath: Its path.

        Returns:
            The absolute path.
        """
        path = self._path(filepath)
        path.touch()
        return path

    def mkdir(self, dirpath: str | Path) -> Path:
        """Makes a directory, with its parents.

        Args:
            dirpath: Its path.

        Returns:
            The absolute path.
        """
        path = self._path(dirpath)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, filepath: str | Path, content: Iterable[str]) -> Path:
        """Writes a file, and makes its parents.

        Args:
            filepath: Its path.
            content: The pieces of its text, written one behind the other.

        Returns:
            The absolute path.
        """
        path = self._path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(content), encoding="utf-8")
        return path

    def write_shell_script(self, path: str | Path, content: list[str]) -> Path:
        """Writes a bash script that can be executed.

        Args:
            path: Its path.
            content: Its lines.

        Returns:
            The absolute path.
        """
        from torchx.schedulers.test.test_util import write_shell_script

        script = self._path(path)
        return Path(write_shell_script(str(script.parent), script.name, content))

    def read(self, filepath: str | Path) -> list[str]:
        """Reads a file.

        Args:
            filepath: Its path.

        Returns:
            Its lines, each with its line end.
        """
        with open(self._path(filepath), encoding="utf-8") as file:
            return file.readlines()

    def create_dir_tree(self, root: str | Path, tree: Tree) -> Path:
        """Makes a directory with files and directories in it.

        Args:
            root: Its path.
            tree: What is in it.

        Returns:
            The absolute path.
        """
        path = self.mkdir(root)
        for name, content in tree.items():
            if isinstance(content, dict):
                self.create_dir_tree(path / name, content)
            else:
                self.write(path / name, [content])
        return path

    def assertDirIsEmpty(self, directory: str | Path) -> None:
        """Asserts that nothing is in a directory.

        Args:
            directory: Its path.
        """
        self.assertEqual([], sorted(os.listdir(self._path(directory))))

    def assertDirTree(self, root: str | Path, tree: Tree) -> None:
        """Asserts that exactly these files and directories are in a directory.

        Args:
            root: Its path.
            tree: What has to be in it. An empty text stands for any content; other texts are
                compared without blanks around them.
        """
        path = self._path(root)
        self.assertEqual(sorted(tree), sorted(os.listdir(path)), f"in {path}")
        for name, content in tree.items():
            if isinstance(content, dict):
                self.assertDirTree(path / name, content)
            elif content:
                text = (path / name).read_text(encoding="utf-8")
                self.assertEqual(content.strip(), text.strip(), f"in {path / name}")
            else:
                self.assertTrue((path / name).is_file(), f"{path / name} is no file")

    def _path(self, path: str | Path) -> Path:
        return self.tmpdir / path


class DistributedTestCase(TestWithTmpDir):
    """A test that runs a function in several processes that can talk through ``torch``."""

    def run_ddp(self, world_size: int, fn: Callable[..., Any]) -> Callable[..., dict[int, Any]]:
        """Prepares to run a function in several processes of this machine.

        Args:
            world_size: Number of processes.
            fn: The function, which can be pickled.

        Returns:
            Runs it with the arguments that it is called with, and returns rank -> result.
        """
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=world_size,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.01,
        )

        def run(*args: Any) -> dict[int, Any]:
            results: dict[int, Any] = elastic_launch(config, entrypoint=fn)(*args)
            return results

        return run
