"""Tells which state of the code a job was given: its digest, git revision and open changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchx.util.redact import redact_source

if TYPE_CHECKING:
    from torchx.specs.api import Workspace

DIFF_LIMIT_BYTES = 256 * 1024
"""Longest diff that is kept, in bytes."""

_TIME_LIMIT_S = 5.0
_STATUS_LIMIT_BYTES = 4 * 1024 * 1024
_SHOWN_UNTRACKED = 100
_CUT = "\n# the rest of the diff is left out\n"
# A repository may name programs to run; reading it must run none of them.
_SAFE_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--no-pager")


@dataclass(frozen=True)
class SourceProvenance:
    """Where one project of a workspace comes from.

    Attributes:
        path: Its path or URL; local paths are absolute.
        digest: SHA-256 of what was sent along, in hex; ``None`` if this process sent nothing.
        git_revision: The commit that is checked out; ``None`` without git or a commit.
        git_branch: The branch that is checked out; ``None`` if there is none.
        is_dirty: There are changes below ``path`` that are not committed, or untracked files.
        diff: These changes, without secrets and with at most `DIFF_LIMIT_BYTES`; untracked files
            are named in comments at its top.
    """

    path: str
    digest: str | None = None
    git_revision: str | None = None
    git_branch: str | None = None
    is_dirty: bool = False
    diff: str = ""


def provenance_of(
    workspace: Workspace, *, time_limit_s: float = _TIME_LIMIT_S
) -> list[SourceProvenance]:
    """Asks git about the projects of a workspace. Never raises because of git.

    Args:
        workspace: The workspace.
        time_limit_s: Longest time to take for all of it, in seconds. What is not known by then
            stays unknown.

    Returns:
        The provenance of each project, in order.
    """
    from torchx.workspace.manifest import last_digest_of

    deadline_s = time.monotonic() + time_limit_s
    found = []
    for source in workspace.projects:
        path = _local_path(source)
        digest = last_digest_of(source)
        if path is None:
            found.append(SourceProvenance(source, digest))
        else:
            found.append(_ask_git(path, digest, deadline_s))
    return found


def _local_path(source: str) -> str | None:
    path = os.path.expanduser(source.removeprefix("file://"))
    return None if "://" in path else os.path.abspath(path)


def _ask_git(path: str, digest: str | None, deadline_s: float) -> SourceProvenance:
    folder, scope = (path, ".") if os.path.isdir(path) else os.path.split(path)
    found = _git(
        folder,
        ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z", "--", scope],
        deadline_s,
        _STATUS_LIMIT_BYTES,
    )
    if found is None:
        return SourceProvenance(path, digest)
    records = found[0].split("\0")
    heads = dict(line[2:].split(" ", 1) for line in records if line.startswith("# branch."))
    untracked = [line[2:] for line in records if line.startswith("? ")]
    revision = _known(heads.get("branch.oid"), "(initial)")
    is_changed = any(line[:2] in ("1 ", "2 ", "u ") for line in records)
    return SourceProvenance(
        path=path,
        digest=digest,
        git_revision=revision,
        git_branch=_known(heads.get("branch.head"), "(detached)"),
        is_dirty=is_changed or bool(untracked),
        diff=_named(untracked) + (_diff(folder, scope, deadline_s) if is_changed else ""),
    )


def _known(value: str | None, unknown: str) -> str | None:
    return None if value == unknown else value


def _named(untracked: list[str]) -> str:
    lines = [f"# untracked: {path}\n" for path in untracked[:_SHOWN_UNTRACKED]]
    if len(untracked) > _SHOWN_UNTRACKED:
        lines.append(f"# untracked: and {len(untracked) - _SHOWN_UNTRACKED} more\n")
    return "".join(lines)


def _diff(folder: str, scope: str, deadline_s: float) -> str:
    options = ["--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty"]
    found = _git(folder, ["diff", *options, "HEAD", "--", scope], deadline_s, DIFF_LIMIT_BYTES)
    if found is None:
        return ""
    diff, is_cut = found
    if not is_cut:
        return redact_source(diff)
    # Cut at the end of a line: half of a secret would not be recognised any more.
    return redact_source(diff[: diff.rfind("\n")]) + _CUT


def _git(
    folder: str, arguments: list[str], deadline_s: float, limit_bytes: int
) -> tuple[str, bool] | None:
    """Runs git.

    Args:
        folder: Where.
        arguments: Sub-command and its arguments.
        deadline_s: Moment of the monotonic clock at which it is ended.
        limit_bytes: How much of the output is kept.

    Returns:
        The output, and whether it is cut; ``None`` if there is no git, no repository or no time,
        or git failed.
    """
    program = shutil.which("git")
    left_s = deadline_s - time.monotonic()
    if program is None or left_s <= 0:
        return None
    try:
        process = subprocess.Popen(
            [program, *_SAFE_OPTIONS, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    with process:
        assert process.stdout is not None
        timer = threading.Timer(left_s, process.kill)
        timer.start()
        try:
            output = process.stdout.read(limit_bytes + 1)
            is_cut = len(output) > limit_bytes
            if is_cut:
                process.kill()
            process.wait()
        finally:
            timer.cancel()
    if process.returncode != 0 and not is_cut:
        return None
    return output[:limit_bytes].decode("utf-8", "replace"), is_cut


def _environment() -> dict[str, str]:
    """Returns the environment without variables that make git look at another repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
