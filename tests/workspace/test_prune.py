from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from torchx.errors import TorchXError
from torchx.specs.api import Workspace
from torchx.workspace.manifest import manifest_of
from torchx.workspace.prune import Leftover, prune_workspaces

WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files, on a machine without a Docker engine."""

    def no_engine() -> None:
        raise TorchXError("no engine")

    monkeypatch.setattr("torchx.util.docker_client.docker_client", no_engine)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def age(path: Path) -> Path:
    old_s = time.time() - 2 * WEEK.total_seconds()
    os.utime(path, (old_s, old_s))
    return path


def test_old_copies_are_removed_and_others_stay(temporary: Path) -> None:
    for name in ("torchx_workspaceold", "torchx_workspacenew", "mine"):
        (temporary / name / "inner").mkdir(parents=True)
    context = temporary / "torchx-contextx.tar"
    context.touch()
    for path in (temporary / "torchx_workspaceold", temporary / "mine", context):
        age(path)
    (temporary / "torchx_workspacelink").symlink_to(temporary / "mine")
    expected = {
        Leftover("directory", str(temporary / "torchx_workspaceold")),
        Leftover("file", str(context)),
    }
    assert set(prune_workspaces(WEEK, dryrun=True)) == expected
    assert context.exists()
    assert set(prune_workspaces(WEEK)) == expected
    assert {path.name for path in temporary.iterdir()} == {
        *("torchx_workspacenew", "mine", "torchx_workspacelink")
    }


def test_a_copy_that_a_process_works_in_stays(temporary: Path) -> None:
    used = temporary / "torchx_workspaceused" / "inner"
    used.mkdir(parents=True)
    age(used.parent)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], cwd=used, stdin=subprocess.PIPE
    ) as process:
        assert prune_workspaces(WEEK) == []
        process.communicate(b"\n")
    assert prune_workspaces(WEEK) == [Leftover("directory", str(used.parent))]


def test_old_caches_are_removed(code: Path, torchx_home: Path, later: Callable[[], None]) -> None:
    later()
    manifest_of(Workspace({str(code): ""}))
    (cache,) = torchx_home.glob("workspaces/digests/*.json")
    assert prune_workspaces(WEEK) == []
    age(cache)
    assert prune_workspaces(WEEK) == [Leftover("cache", str(cache))]
    assert not cache.exists()
