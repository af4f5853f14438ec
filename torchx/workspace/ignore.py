r"""Which files of a workspace count: the rules of an ignore file, and the walk that obeys them.

The rules are those of a ``.dockerignore`` file. Paths are relative to the workspace, with ``/``:

- ``*`` and ``?`` match within one path component, ``**`` any number of components, ``[a-z]`` one
  character, ``\`` takes the next character as it is. A leading or trailing ``/`` means nothing.
- A pattern that matches a directory counts for all that is below it.
- The last pattern that matches decides; one that begins with ``!`` brings back.
- ``#`` at the start of a line or after a blank begins a comment.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TORCHX_IGNORE = ".torchxignore"
"""Name of the ignore file of a workspace."""

_NEVER_IGNORED = frozenset([".", "Dockerfile.torchx"])
_COMMENT = re.compile(r"(^|\s)#.*")
_TOKEN = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?[^\]/]+\]|\\.|.", re.DOTALL)
_TRANSLATIONS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def walk_workspace(
    fs: AbstractFileSystem, path: str, ignore_name: str = TORCHX_IGNORE
) -> Iterator[tuple[str, list[str], dict[str, dict[str, Any]]]]:
    """Walks the files of a workspace that are not ignored, top down.

    Args:
        fs: The file system it lies on.
        path: Its root; if there is none, nothing is yielded.
        ignore_name: Name of the ignore file in the root.

    Yields:
        Path of a directory, names of its sub-directories that are entered, and its files by name
        with what the file system tells about them (``size``, ``mode``, ...).
    """
    patterns = _read_patterns(fs, posixpath.join(path, ignore_name))
    pending = [(path, "", -1, False)]
    while pending:
        directory, relative, last, ignored = pending.pop()
        dirs: list[str] = []
        files: dict[str, dict[str, Any]] = {}
        for info in _list_directory(fs, directory):
            name = posixpath.basename(info["name"].rstrip("/"))
            inner = posixpath.join(relative, name)
            verdict = max((last, ignored), _ignore(inner, patterns), key=lambda found: found[0])
            if info["type"] != "directory":
                if not verdict[1]:
                    files[name] = info
            elif not verdict[1] or _may_bring_back(inner, patterns):
                dirs.append(name)
                pending.append((info["name"], inner, *verdict))
        yield directory, dirs, files


def _ignore(s: str, patterns: Sequence[str]) -> tuple[int, bool]:
    """Matches one path, not looking at its parents.

    Args:
        s: The path, relative to the workspace.
        patterns: Lines of an ignore file without comments.

    Returns:
        The index of the last pattern that matches, or -1, and whether the path is ignored.
    """
    last, ignored = -1, False
    if s in _NEVER_IGNORED:
        return last, ignored
    s = posixpath.normpath(s)
    for index, pattern in enumerate(patterns):
        if _matches(pattern.removeprefix("!"))(s):
            last, ignored = index, not pattern.startswith("!")
    return last, ignored


def _read_patterns(fs: AbstractFileSystem, path: str) -> list[str]:
    if not fs.exists(path):
        return []
    with fs.open(path, "rt", encoding="utf-8") as file:
        lines = [_COMMENT.sub("", line).strip() for line in file]
    return [line for line in lines if line not in ("", ".")]


def _list_directory(fs: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    return found


def _may_bring_back(directory: str, patterns: Sequence[str]) -> bool:
    """Tells whether a pattern with ``!`` may match something below an ignored directory."""
    return any(
        pattern.startswith("!") and _may_match_below(directory, _normalize(pattern[1:]))
        for pattern in patterns
    )


def _may_match_below(directory: str, pattern: str) -> bool:
    names, wanted = directory.split("/"), pattern.split("/")
    for name, want in zip(names, wanted, strict=False):
        if "**" in want:
            return True
        if not _matches(want)(name):
            return False
    return len(wanted) > len(names)


def _normalize(pattern: str) -> str:
    return posixpath.normpath(pattern.strip()).lstrip("/")


@functools.lru_cache(maxsize=1024)
def _matches(pattern: str) -> Callable[[str], object]:
    tokens = [_translate(found[0]) for found in _TOKEN.finditer(_normalize(pattern))]
    try:
        return re.compile("".join(tokens), re.DOTALL).fullmatch
    except re.error as error:
        raise ValueError(f"malformed pattern `{pattern}` in an ignore file: {error}") from error


def _translate(token: str) -> str:
    if token in _TRANSLATIONS:
        return _TRANSLATIONS[token]
    if token.startswith("[") and len(token) > 1:
        negation = "^" if token[1] in "!^" else ""
        members = re.escape(token[1 + len(negation) : -1]).replace(r"\-", "-")
        return f"[{negation}{members}]"
    return re.escape(token[1:] if len(token) > 1 and token[0] == "\\" else token)
