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
import itertools
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

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
_TOKEN = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?[^\]/]+\]|\\.|.", re.DOTALL)
_TRANSLATIONS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class IgnoreRules:
    """A list of patterns, compiled to judge many paths.

    Args:
        patterns: The patterns, in order.

    Raises:
        ValueError: A pattern is malformed.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = list(patterns)
        self._groups: list[tuple[int, bool, frozenset[str], Callable[[str], object] | None]] = []
        for is_negation, group in itertools.groupby(
            enumerate(self._patterns), key=lambda item: item[1].startswith("!")
        ):
            numbered = [(index, pattern.removeprefix("!")) for index, pattern in group]
            self._groups.append((numbered[-1][0], not is_negation, *_compile(numbered)))
        self._groups.reverse()

    def verdict(self, path: str, name: str, parent: tuple[int, bool]) -> tuple[int, bool]:
        """Judges a path.

        Args:
            path: The path, relative to the root of the workspace, without ``.`` and ``..``.
            name: Its last component.
            parent: The verdict on the directory that it is in; ``(-1, False)`` for the root.

        Returns:
            A number that tells which group of patterns decided (-1: none did), and whether the
            path is ignored.
        """
        if path in _NEVER_IGNORED:
            return -1, False
        for index, ignored, names, matches in self._groups:
            if index <= parent[0]:
                return parent
            if name in names or (matches is not None and matches(path)):
                return index, ignored
        return parent

    def may_bring_back(self, directory: str) -> bool:
        """Tells whether something below an ignored directory may count nevertheless.

        Args:
            directory: Its path, relative to the root of the workspace.

        Returns:
            False if there is no need to look into it.
        """
        return _may_bring_back(directory, self._patterns)


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
    pending = [(path, "", (-1, False))]
    while pending:
        directory, relative, parent = pending.pop()
        dirs: list[str] = []
        files: dict[str, dict[str, Any]] = {}
        for info in _list_directory(fs, directory):
            name = posixpath.basename(info["name"].rstrip("/"))
            inner = posixpath.join(relative, name)
            verdict = rules.verdict(inner, name, parent)
            if info["type"] != "directory":
                if not verdict[1]:
                    files[name] = info
            elif not verdict[1] or rules.may_bring_back(inner):
                dirs.append(name)
                pending.append((info["name"], inner, verdict))
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


def _compile(
    numbered: Sequence[tuple[int, str]],
) -> tuple[frozenset[str], Callable[[str], object] | None]:
    """Splits patterns into plain names that count at any depth and an expression for the rest."""
    names, expressions = set(), []
    for _, pattern in numbered:
        _matches(pattern)  # names the pattern if it is malformed
        normal = _normalize(pattern)
        anywhere = _ANYWHERE.fullmatch(normal)
        if anywhere:
            names.add(anywhere[1])
        else:
            expressions.append(_expression(normal))
    if not expressions:
        return frozenset(names), None
    return frozenset(names), re.compile("|".join(expressions), re.DOTALL).fullmatch


def _expression(normal: str) -> str:
    return "".join(_translate(found[0]) for found in _TOKEN.finditer(normal))


@functools.lru_cache(maxsize=1024)
def _matches(pattern: str) -> Callable[[str], object]:
    try:
        return re.compile(_expression(_normalize(pattern)), re.DOTALL).fullmatch
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
