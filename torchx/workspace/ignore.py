r"""Which files of a workspace count: the rules of an ignore file, and the walk that obeys them.

The rules are those of a ``.dockerignore`` file. Paths are relative to the workspace, with ``/``:

- ``*`` and ``?`` match within one path component, ``**`` any number of components, ``[a-z]`` one
  character, ``\`` takes the next character as it is. A leading or trailing ``/`` means nothing.
- A pattern that matches a directory counts for all that is below it.
- The last pattern that matches decides; one that begins with ``!`` brings back. An ignored
  directory is only looked into if such a pattern begins with its path.
- ``#`` at the start of a line or after a blank begins a comment.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torchx.workspace.patterns import expression, matcher, normalized

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TORCHX_IGNORE = ".torchxignore"
"""Name of the ignore file of a workspace."""

DOCKER_IGNORE = ".dockerignore"
"""Name of the ignore file that `docker build` obeys as well."""

DEFAULT_IGNORES = (
    *("**/.git", "**/.hg", "**/.svn", "**/.DS_Store"),
    *("**/.venv", "**/__pycache__", "**/.ipynb_checkpoints", "**/.tox", "**/.nox"),
    *("**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache", "**/.hypothesis"),
)
"""Patterns that hold before those of ignore files, which may bring back what these leave out."""

_NEVER_IGNORED = frozenset([".", "Dockerfile.torchx"])
_ANYWHERE = re.compile(r"\*\*/([^*?\[\]\\/]+)")
_COMMENT = re.compile(r"(^|\s)#.*")


State = tuple[bool, ...]
"""Which groups of patterns have matched a directory or one of its parents."""


class IgnoreRules:
    """A list of patterns, compiled to judge many paths.

    Neighbouring patterns with the same sign are one group. A group is only asked about a path if it
    would change what the groups before it have decided, and then also decides about everything
    below. That is how `docker build` does it, and it shows: after ``!a``, something that a later
    pattern ignores below ``a`` stays ignored.

    Args:
        patterns: The patterns, in order.

    Attributes:
        root: The state of the root of the workspace.

    Raises:
        ValueError: A pattern is malformed.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._groups = [
            _Group([pattern.removeprefix("!") for pattern in group], is_negation)
            for is_negation, group in itertools.groupby(patterns, lambda text: text[0] == "!")
        ]
        self._brought_back = tuple(
            normalized(pattern[1:]) + "/" for pattern in patterns if pattern[0] == "!"
        )
        self._is_plain = len(self._groups) == 1 and not self._groups[0].is_negation
        self.root: State = (False,) * len(self._groups)

    def judge(self, path: str, name: str, parent: State) -> tuple[State, bool]:
        """Judges a path.

        Args:
            path: The path, relative to the root of the workspace, without ``.`` and ``..``.
            name: Its last component.
            parent: State of the directory that it is in.

        Returns:
            Its state, and whether it is ignored.
        """
        if path in _NEVER_IGNORED:
            return self.root, False
        if self._is_plain:
            is_ignored = parent[0] or self._groups[0].matches(path, name)
            return (is_ignored,), is_ignored
        is_ignored = False
        state = []
        for group, is_matched in zip(self._groups, parent, strict=True):
            if not is_matched and group.is_negation == is_ignored:
                is_matched = group.matches(path, name)
            if is_matched:
                is_ignored = not group.is_negation
            state.append(is_matched)
        return tuple(state), is_ignored

    def is_wanted(self, path: str, name: str) -> bool:
        """Tells whether a pattern with ``!`` matches a path, whatever the others say.

        Args:
            path: The path, relative to the root of the workspace.
            name: Its last component.

        Returns:
            True if there is such a pattern.
        """
        return any(group.is_negation and group.matches(path, name) for group in self._groups)

    def may_bring_back(self, directory: str) -> bool:
        """Tells whether something below an ignored directory may count nevertheless.

        Args:
            directory: Its path, relative to the root of the workspace.

        Returns:
            True if a pattern with ``!`` names the directory, letter by letter, or something in it.
        """
        return any(pattern.startswith(f"{directory}/") for pattern in self._brought_back)


class _Group:
    """Patterns with the same sign."""

    def __init__(self, patterns: Sequence[str], is_negation: bool) -> None:
        self.is_negation = is_negation
        names, expressions = set(), []
        for pattern in patterns:
            translated = expression(pattern)
            anywhere = _ANYWHERE.fullmatch(normalized(pattern))
            if anywhere:
                names.add(anywhere[1])
            else:
                expressions.append(translated)
        self._names = frozenset(names)
        self._match = re.compile("|".join(expressions), re.DOTALL).fullmatch
        self._has_expressions = bool(expressions)

    def matches(self, path: str, name: str) -> bool:
        return name in self._names or (self._has_expressions and bool(self._match(path)))


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
    rules = IgnoreRules(read_patterns(fs, posixpath.join(path, ignore_name)))
    yield from walk_filtered(fs, path, rules)


def walk_filtered(
    fs: AbstractFileSystem, path: str, rules: IgnoreRules
) -> Iterator[tuple[str, list[str], dict[str, dict[str, Any]]]]:
    """Walks files by given rules, see :func:`walk_workspace`.

    Args:
        fs: The file system.
        path: The root; if there is none, nothing is yielded.
        rules: Which files do not count.

    Yields:
        The same as :func:`walk_workspace`.
    """
    pending = [(path, "", rules.root)]
    while pending:
        directory, relative, parent = pending.pop()
        dirs: list[str] = []
        files: dict[str, dict[str, Any]] = {}
        for info in _list_directory(fs, directory):
            name = posixpath.basename(info["name"].rstrip("/"))
            inner = posixpath.join(relative, name)
            state, is_ignored = rules.judge(inner, name, parent)
            if info["type"] != "directory":
                if not is_ignored:
                    files[name] = info
            elif not is_ignored or rules.may_bring_back(inner):
                dirs.append(name)
                pending.append((info["name"], inner, state))
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
        if matcher(pattern.removeprefix("!"))(s):
            last, ignored = index, not pattern.startswith("!")
    return last, ignored


def read_patterns(fs: AbstractFileSystem, path: str) -> list[str]:
    """Reads an ignore file.

    Args:
        fs: The file system it lies on.
        path: Its path; the file need not exist.

    Returns:
        Its patterns, in order.
    """
    if not fs.exists(path):
        return []
    with fs.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [_COMMENT.sub("", line).strip() for line in file]
    return [line for line in lines if line not in ("", ".")]


def _list_directory(fs: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    return found
