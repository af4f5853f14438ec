"""Where the logs of replicas are, and what is said where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchx.schedulers.api import Stream
from torchx.schedulers.slurm import logs
from torchx.schedulers.slurm.mark import Mark


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
