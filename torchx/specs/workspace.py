"""Local code that goes with a job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from torchx.util.records import record

if TYPE_CHECKING:
    from pathlib import Path


@record
class Workspace:
    """Local paths and where they go in the image or directory of a job.

    Args:
        projects: Local file or directory -> sub-directory of the remote root; ``""`` is the root.

    Example:
        >>> Workspace.from_str("{/home/me/app: '', /home/me/lib: lib}").projects
        {'/home/me/app': '', '/home/me/lib': 'lib'}
    """

    projects: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.projects)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and self.projects == other.projects

    def __hash__(self) -> int:
        return hash(frozenset(self.projects.items()))

    def is_unmapped_single_project(self) -> bool:
        """Tells whether this is one local path that goes to the remote root.

        Returns:
            True if there is exactly one project and it has no target.
        """
        return len(self.projects) == 1 and not any(self.projects.values())

    def merge_into(self, outdir: str | Path) -> None:
        """Copies all projects into a directory; later ones overwrite files of earlier ones.

        Links are followed, so the copy stands alone. Left out, with a warning, are links that lead
        nowhere or back to a directory that is being copied, and what is neither file nor directory.
        ``outdir`` itself is never copied.

        Args:
            outdir: The directory. It is created if it does not exist.

        Raises:
            ValueError: A target lies outside of ``outdir``; nothing has been copied then.
            FileNotFoundError: A project does not exist; nothing has been copied then.
        """
        root = os.path.realpath(outdir)
        copies = [(_source(path), path, target) for path, target in self.projects.items()]
        destinations = [_destination(root, path, target) for _, path, target in copies]
        os.makedirs(root, exist_ok=True)
        for (source, _, target), destination in zip(copies, destinations, strict=True):
            real = os.path.realpath(source)
            if real == destination:
                continue
            if os.path.isdir(source):
                _copy_dir(source, destination, (real,), root)
            else:
                if target.endswith("/") or os.path.isdir(destination):
                    destination = os.path.join(destination, os.path.basename(source))
                os.makedirs(os.path.dirname(destination), exist_ok=True)
                _copy_file(source, destination)

    @staticmethod
    def from_str(workspace: str | None) -> Workspace:
        """Parses a workspace as it is written on a command line or in a config file.

        Args:
            workspace: A path or URI as it is; or a YAML mapping of paths to targets, which is
                anything over several lines, in braces or quotes, or with ``: `` inside. A target
                may be empty.

        Returns:
            The workspace; an empty one for ``None`` and blank text.

        Raises:
            ValueError: The text looks like a mapping but is none of strings to strings.

        Example:
            >>> Workspace.from_str("~/app").projects
            {'~/app': ''}
        """
        text = (workspace or "").strip()
        if not text:
            return Workspace({})
        if not _looks_like_mapping(text):
            return Workspace({text: ""})
        return Workspace(_parse_mapping(text))

    def __str__(self) -> str:
        return ";".join(
            f"{path}:{target}" if target else path for path, target in self.projects.items()
        )


def _looks_like_mapping(text: str) -> bool:
    return "\n" in text or ": " in text or text[0] in "{'\"" or text.endswith(":")


def _parse_mapping(text: str) -> dict[str, str]:
    import yaml

    try:
        # The base loader keeps all scalars as text: `no`, `1` and `~/x` are names of paths here.
        parsed: object = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise _malformed(text, str(error)) from error
    if isinstance(parsed, str) and parsed:
        return {parsed: ""}
    if not isinstance(parsed, dict):
        raise _malformed(text, f"this is a {type(parsed).__name__}")
    for path, target in parsed.items():
        if not isinstance(path, str) or not isinstance(target, str):
            raise _malformed(text, f"{path!r}: {target!r} are not two strings")
    nulls = ("~", "null", "Null", "NULL")
    return {path: "" if target in nulls else target for path, target in parsed.items()}


def _malformed(text: str, reason: str) -> ValueError:
    return ValueError(
        f"malformed workspace {text!r}: {reason}. Write a path, or a YAML mapping such as"
        " {/path/to/app: '', /path/to/lib: lib}"
    )


def _source(path: str) -> str:
    source = os.path.expanduser(path)
    if not os.path.exists(source):
        raise FileNotFoundError(f"workspace {path!r} does not exist")
    return source


def _destination(root: str, path: str, target: str) -> str:
    destination = os.path.realpath(os.path.join(root, target))
    if os.path.isabs(target) or os.path.commonpath([root, destination]) != root:
        raise ValueError(
            f"target {target!r} of workspace {path!r} lies outside of the remote root:"
            " give a relative path without `..`"
        )
    return destination


def _copy_dir(source: str, destination: str, ancestors: tuple[str, ...], root: str) -> None:
    """Copies a tree.

    Args:
        source: The directory to copy.
        destination: The directory to fill.
        ancestors: Real paths of ``source`` and of the directories above it that are being copied.
        root: Real path of the directory that must not be copied into itself.
    """
    with os.scandir(source) as listing:
        entries = list(listing)
    if os.path.islink(destination):
        os.unlink(destination)  # what goes through the link would leave the remote root
    os.makedirs(destination, exist_ok=True)
    for entry in entries:
        target = os.path.join(destination, entry.name)
        if os.path.isdir(entry.path):
            real = os.path.realpath(entry.path)
            if real == root:
                continue
            if real in ancestors:
                _warn_left_out(entry.path, f"it leads back to {real}")
                continue
            _copy_dir(entry.path, target, (*ancestors, real), root)
        elif os.path.isfile(entry.path):
            _copy_file(entry.path, target)
        else:
            kind = "a link to nothing" if entry.is_symlink() else "neither file nor directory"
            _warn_left_out(entry.path, f"it is {kind}")
    _copy_metadata(source, destination)


def _warn_left_out(path: str, reason: str) -> None:
    import logging

    logging.getLogger(__name__).warning("left out %s: %s", path, reason)


def _copy_metadata(source: str, destination: str) -> None:
    import shutil

    shutil.copystat(source, destination)


def _copy_file(source: str, destination: str) -> None:
    import shutil

    if os.path.exists(destination) and os.path.samefile(source, destination):
        return
    if os.path.isfile(destination) or os.path.islink(destination):
        # The copy of an earlier project may be read-only, or a link to somewhere else.
        os.unlink(destination)
    if os.path.isdir(destination):
        raise IsADirectoryError(f"cannot copy the file {source} over the directory {destination}")
    shutil.copy2(source, destination)
