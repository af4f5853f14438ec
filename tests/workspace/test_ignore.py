from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

import fsspec
import pytest

from torchx.workspace import walk_workspace
from torchx.workspace.ignore import TORCHX_IGNORE, IgnoreRules, _ignore


def kept(root: Path, ignore_name: str = TORCHX_IGNORE) -> set[str]:
    """Walks a local workspace and returns the relative paths of the files that count."""
    found = set()
    for directory, dirs, files in walk_workspace(fsspec.filesystem("file"), str(root), ignore_name):
        relative = posixpath.relpath(directory, str(root))
        assert all((root / relative / name).is_dir() for name in dirs)
        found |= {posixpath.normpath(posixpath.join(relative, name)) for name in files}
    return found


def write(root: Path, *paths: str, patterns: str = "", ignore_name: str = TORCHX_IGNORE) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / ignore_name).write_text(patterns)


PATTERNS_A = """
# a comment
ignoredir
    ignorefile  # another one

three/part/ignore
*/ignorefileglo*1
**/ignorefileglob2
dir?
unignore
!unignore
.
"""


def test_patterns_ignore_directories_globs_and_what_is_brought_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("ignoredir/bar", "ignoredir/recursive/bar", "three/part/ignore/foo/bar", "dir1/bar"),
        *("dir/ignorefileglob1", "dir/recursive/ignorefileglob2", "ignorefile"),
        *("dir/ignorefile", "dir/file", "foo.sh", "ignorefilesuffix", "unignore"),
        patterns=PATTERNS_A,
    )
    assert kept(tmp_path) == {
        *(TORCHX_IGNORE, "dir/ignorefile", "dir/file", "foo.sh", "ignorefilesuffix", "unignore")
    }


def test_everything_can_be_ignored_but_some(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("Dockerfile.torchx", "timm_app.py", "bigfile"),
        *("some_dir/a", "some_dir/b", "some_dir/ignore1", "some_dir/ignore2"),
        *("some_dir/subdir/a", "some_dir/subdir/b", "some_dir/subdir/ignore3"),
        patterns="*\n!timm_app.py\n**/a\n!some_dir\n**/ignore1\nsome_dir/ignore2\n"
        "some_dir/subdir/ignore3\n",
        ignore_name=".dockerignore",
    )
    assert kept(tmp_path, ".dockerignore") == {
        *("Dockerfile.torchx", "timm_app.py"),
        *("some_dir/a", "some_dir/b", "some_dir/subdir/a", "some_dir/subdir/b"),
    }


@pytest.mark.parametrize(
    ("pattern", "ignored", "not_ignored"),
    [
        ("data/", "data", "x/data"),
        ("/x", "x", "a/x"),
        ("**/x", "x", "xy"),
        ("**/x", "a/b/x", "a/b/xy"),
        ("*.csv", "a.csv", "a/b.csv"),
        ("**/*.csv", "a/b/c.csv", "a/b.csv2"),
        ("a/*", "a/b", "a/b/c"),
        ("a/**", "a/b/c", "a"),
        ("a/**/z", "a/z", "az"),
        ("a/**/z", "a/b/c/z", "a/b/zz"),
        ("a?c", "abc", "a/c"),
        ("[ab]x", "bx", "cx"),
        ("[!ab]x", "!x", "cx"),
        ("[^ab]x", "cx", "ax"),
        ("[a-c]x", "bx", "-x"),
        (r"[\]a]x", "]x", "bx"),
        ("[&&[~~]x", "&x", "ax"),
        ("a]", "a]", "a"),
        ("a**b", "a/x/b", "axb"),
        ("**b", "x/ab", "b/a"),
        ("**/a?c", "x/abc", "x/xabc"),
        ("a/***", "a/x/b", "a"),
        ("x/{a}+(b)^$", "x/{a}+(b)^$", "x/a"),
        (r"\*", "*", "a"),
        ("a#b", "a#b", "a"),
        ("a.c", "a.c", "abc"),
        ("./a/../b", "b", "a"),
        ("__pycache__", "__pycache__", "a/__pycache__"),
    ],
)
def test_patterns_follow_the_rules_of_dockerignore(
    pattern: str, ignored: str, not_ignored: str
) -> None:
    assert _ignore(ignored, [pattern]) == (0, True)
    assert _ignore(not_ignored, [pattern]) == (-1, False)


def test_the_last_pattern_that_matches_decides() -> None:
    assert _ignore("a", ["*", "!a", "b"]) == (1, False)
    assert _ignore("a", ["!a", "*"]) == (1, True)
    assert _ignore("./x/../a", ["a"]) == (0, True)


@pytest.mark.parametrize("pattern", ["[z-a]", "[", "[a", "[]a]", "[^]", "[a-]", "a\\"])
def test_a_malformed_pattern_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"`{pattern}`")):
        _ignore("a", [pattern])
    with pytest.raises(ValueError, match=re.escape(f"`{pattern}`")):
        IgnoreRules([f"!{pattern}"])


def test_a_lone_exclamation_mark_is_an_error() -> None:
    with pytest.raises(ValueError, match="`!` without a pattern"):
        IgnoreRules(["a", "!"])


def test_the_root_and_its_dockerfile_are_never_ignored() -> None:
    assert _ignore(".", ["*"]) == (-1, False)
    assert _ignore("Dockerfile.torchx", ["*"]) == (-1, False)
    assert _ignore("sub/Dockerfile.torchx", ["sub"]) == (-1, False)
    assert _ignore("sub/Dockerfile.torchx", ["**/Dockerfile.torchx"]) == (0, True)


def test_a_file_below_an_ignored_directory_can_be_brought_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("data/keep.txt", "data/deep/keep.txt", "data/big", "venv/lib/keep.txt"),
        patterns="data\nvenv\n!data/keep.txt\n!data/*/keep.txt\n!**/lib/keep.txt\n",
    )
    assert kept(tmp_path) == {TORCHX_IGNORE, "data/keep.txt"}


def test_what_was_not_ignored_cannot_be_brought_back_in_advance(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c", "a/d", patterns="**/c\n!a\n")
    assert kept(tmp_path) == {TORCHX_IGNORE, "a/d"}


def test_patterns_of_the_other_sign_in_between_keep_their_order(tmp_path: Path) -> None:
    write(tmp_path, "a/x", "a/y", "a/z", patterns="a\n!a/x\n!a/y\na/y\n")
    assert kept(tmp_path) == {TORCHX_IGNORE, "a/x"}


def test_an_ignore_file_of_any_bytes_can_be_read(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")).touch()
    (tmp_path / TORCHX_IGNORE).write_bytes(b"\xef\xbb\xbfa\r\n\xff\xfe\r\n")
    assert kept(tmp_path) == {TORCHX_IGNORE, "b"}


def test_an_ignored_directory_is_not_even_listed(tmp_path: Path) -> None:
    write(tmp_path, "venv/lib/x", "src/x", patterns="venv\n!src/x\n")
    walked = walk_workspace(fsspec.filesystem("file"), str(tmp_path))
    assert [Path(directory).name for directory, _, _ in walked] == [tmp_path.name, "src"]


def test_a_workspace_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert kept(tmp_path / "none") == set()


def test_a_workspace_in_memory_is_walked_alike() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/walk/a.py": b"1", "/walk/b/c.py": b"2", "/walk/.torchxignore": b"b"})
    assert [
        (directory, dirs, sorted(files)) for directory, dirs, files in walk_workspace(fs, "/walk")
    ] == [("/walk", [], [".torchxignore", "a.py"])]
