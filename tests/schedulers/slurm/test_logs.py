"""Both outputs of a replica as one log."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchx.schedulers.api import Stream
from torchx.schedulers.slurm import logs
from torchx.schedulers.slurm.mark import Mark
from torchx.schedulers.streams import FileSource


def read_all(paths: list[Path], block_bytes: int) -> bytes:
    sources = [FileSource(str(path), block_bytes=block_bytes) for path in paths]
    merged = logs.MergedSource(sources)
    blocks = []
    while (block := merged.read()) is not None:
        blocks.append(block)
    return b"".join(blocks)


contents = st.lists(st.binary(max_size=6), max_size=6).map(b"\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents, contents, st.integers(1, 7))
def test_no_line_is_torn_lost_or_glued(
    tmp_path: Path, first: bytes, second: bytes, block_bytes: int
) -> None:
    paths = [tmp_path / "a.out", tmp_path / "a.err"]
    paths[0].write_bytes(first)
    paths[1].write_bytes(second)
    got = read_all(paths, block_bytes)
    expected = sorted(first.split(b"\n") + second.split(b"\n"))
    assert sorted(filter(None, got.split(b"\n"))) == list(filter(None, expected))
    newlines = first.count(b"\n") + second.count(b"\n")
    both_unfinished = all(text and not text.endswith(b"\n") for text in (first, second))
    assert newlines <= got.count(b"\n") <= newlines + 1 + both_unfinished


def test_one_file_keeps_its_order(tmp_path: Path) -> None:
    path = tmp_path / "a.out"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1000)))
    assert read_all([path, tmp_path / "missing"], 10) == path.read_bytes()


def test_a_replica_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    mark = Mark("s", "", str(tmp_path), {"job": 2, "other": 1}, (3,))
    logs.check_replica("7", mark, "job", 1)
    for role, k in (("job", 2), ("job", -1), ("x", 0)):
        with pytest.raises(logs.NoLogException, match=r"job \(0 to 1\), other \(0 to 0\)"):
            logs.check_replica("7", mark, role, k)


def test_logs_on_another_machine_are_said_to_be_there() -> None:
    mark = Mark("s", "", "/no/such/place", {"job": 1}, (1,))
    with pytest.raises(logs.NoLogException, match="which this machine does not have"):
        logs.check_replica("7", mark, "job", 0)


@pytest.mark.parametrize("name", ["../../up", "a/b", "", "..", "a b", "%j", "x" * 300, "-x", "é"])
def test_log_files_stay_in_their_directory(name: str) -> None:
    path = logs.log_path("/w", "7", name, 0, Stream.STDOUT)
    assert Path(path).parent == Path("/w")
    assert "%" not in path
    assert len(Path(path).name) < 200


def test_names_that_look_alike_have_files_of_their_own() -> None:
    names = ["a b", "a_b", "a/b", "a%b", "a\nb"]
    paths = {logs.log_path("/w", "7", name, 0, Stream.STDERR) for name in names}
    assert len(paths) == len(names)
