"""Removes what builds of workspaces leave behind on this machine, once nobody uses it any more."""

from __future__ import annotations

import glob
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from torchx.errors import TorchXError
from torchx.specs.api import TORCHX_HOME
from torchx.workspace.dir_workspace import TMP_PREFIX
from torchx.workspace.docker_build import WORKSPACE_REPO, engine_errors
from torchx.workspace.docker_layers import images_used_since
from torchx.workspace.job_dirs import forget_gone_job_dirs

log: logging.Logger = logging.getLogger(__name__)


class Leftover(NamedTuple):
    """Something that is not used any more.

    Attributes:
        kind: ``image``, ``directory``, ``file`` or ``cache``.
        name: Name of the image, or path.
    """

    kind: str
    name: str


def prune_workspaces(older_than: timedelta, *, dryrun: bool = False) -> list[Leftover]:
    """Removes images, temporary copies and caches that workspaces left behind.

    Directories that a user has named (``job_dir``) are never removed.

    Args:
        older_than: For how long something must not have been used.
        dryrun: Remove nothing.

    Returns:
        What was removed, or would be.
    """
    before_s = time.time() - older_than.total_seconds()
    removed = [
        *_prune_images(before_s, dryrun),
        *_prune_copies(before_s, dryrun),
        *_prune_caches(before_s, dryrun),
    ]
    if not dryrun:
        forget_gone_job_dirs()
    return removed


def _prune_images(before_s: float, dryrun: bool) -> Iterator[Leftover]:
    from torchx.util.docker_client import docker_client

    try:
        client = docker_client()
        with engine_errors("list the images of workspaces"):
            images = client.api.images(WORKSPACE_REPO)
            containers = client.api.containers(all=True)
    except TorchXError as error:
        log.info("images of workspaces are left alone: %s", error)
        return
    kept = images_used_since(before_s) | {container["ImageID"] for container in containers}
    for image in images:
        if image["Created"] >= before_s or image["Id"] in kept:
            continue
        for name in image["RepoTags"] or ():
            if name.startswith(f"{WORKSPACE_REPO}:"):
                if not dryrun:
                    with engine_errors(f"remove image {name}"):
                        client.images.remove(name)
                yield Leftover("image", name)


def _prune_copies(before_s: float, dryrun: bool) -> Iterator[Leftover]:
    place = glob.escape(tempfile.gettempdir())
    used = _working_directories()
    patterns = (f"{TMP_PREFIX}*", f"*{TMP_PREFIX}_", "torchx-context*.tar")
    for path in {found for name in patterns for found in glob.glob(os.path.join(place, name))}:
        if not _is_old(path, before_s) or any(f"{each}/".startswith(f"{path}/") for each in used):
            continue
        is_directory = os.path.isdir(path)
        if not dryrun:
            shutil.rmtree(path, ignore_errors=True) if is_directory else os.unlink(path)
        yield Leftover("directory" if is_directory else "file", path)


def _prune_caches(before_s: float, dryrun: bool) -> Iterator[Leftover]:
    for kind in ("digests", "images"):
        for path in TORCHX_HOME("workspaces", kind).glob("*.json"):
            if _is_old(str(path), before_s):
                if not dryrun:
                    path.unlink(missing_ok=True)
                yield Leftover("cache", str(path))


def _is_old(path: str, before_s: float) -> bool:
    """Tells whether a file of this user, which is no link, was last changed before a moment."""
    try:
        info = os.lstat(path)
    except OSError:
        return False
    return info.st_uid == os.geteuid() and info.st_mtime < before_s and not os.path.islink(path)


def _working_directories() -> set[str]:
    found = set()
    for link in glob.glob("/proc/[0-9]*/cwd"):
        try:
            found.add(os.readlink(link))
        except OSError:
            continue  # the process has ended, or belongs to somebody else
    return found
