"""What a cluster allows, and apps that do not fit."""

from __future__ import annotations

import re

import pytest

from torchx.schedulers.slurm import partitions
from torchx.schedulers.slurm.options import SlurmOpts
from torchx.schedulers.slurm.queries import FIELD_END
from torchx.specs import AppDef, Resource, Role

SINFO = "\n".join(
    FIELD_END.join(row)
    for row in (
        ("main*", "up", "infinite", "4", "8", "8000", "gpu:fake:4(S:0-1)", "std,big"),
        ("main*", "up", "infinite", "1", "64+", "64000+", "gpu:a100:2,gpu:b:1,nvme:1", "std"),
        ("small", "up", "5:00", "2", "8", "8000", "(null)", "(null)"),
        ("nomem", "up", "1-00:00:00", "2", "8", "1", "(null)", "(null)"),
        ("closed", "down", "5:00", "2", "8", "8000", "(null)", "(null)"),
        ("cut",),
    )
)
GROUPS = partitions.read_partitions(SINFO)


def app(cpu: int = 1, gpu: int = 0, memMB: int = 1) -> AppDef:
    return AppDef("a", [Role("r", "/", resource=Resource(cpu=cpu, gpu=gpu, memMB=memMB))])


def test_partitions_are_read() -> None:
    assert len(GROUPS) == 5
    assert GROUPS[0].gres == {"gpu": 4}
    assert GROUPS[1].gres == {"gpu": 3, "nvme": 1}
    assert (GROUPS[1].cpus, GROUPS[1].memory_mib) == (64, 64000)
    assert GROUPS[2].max_time_s == 300
    assert [group.partition for group in partitions.chosen(GROUPS, None)] == ["main", "main"]
    assert [group.partition for group in partitions.chosen(GROUPS, "small,nomem")] == [
        "small",
        "nomem",
    ]


@pytest.mark.parametrize(
    ("opts", "resource"),
    [
        (SlurmOpts(), {}),
        (SlurmOpts(), {"cpu": 64, "memMB": 64000, "gpu": 3}),
        (SlurmOpts(partition="small", time="5"), {}),
        (SlurmOpts(time="400-0"), {}),
        (SlurmOpts(partition="nomem", time="1-0"), {"memMB": 9000}),
        (SlurmOpts(constraint="std"), {}),
        (SlurmOpts(constraint="std&(a|b)"), {}),
        (SlurmOpts(partition="small", gres="license:1"), {"gpu": 8}),
    ],
)
def test_what_fits_passes(opts: SlurmOpts, resource: dict[str, int]) -> None:
    partitions.check(app(**resource), opts, GROUPS)


@pytest.mark.parametrize(
    ("opts", "resource", "faults"),
    [
        (SlurmOpts(partition="x"), {}, ["no partition `x`, there are main, small, nomem"]),
        (SlurmOpts(partition="closed"), {}, ["`closed` is down"]),
        (
            SlurmOpts(partition="small", time="6"),
            {},
            ["the time `6` is above the limit of 5 minutes of the partition `small`"],
        ),
        (SlurmOpts(time="soon"), {}, ["`soon` is no time"]),
        (SlurmOpts(), {"cpu": 65}, ["replica of `r` asks for 65 CPUs", "at most 64"]),
        (SlurmOpts(), {"gpu": 5}, ["asks for 5 GPUs", "at most 4"]),
        (SlurmOpts(partition="small"), {"gpu": 1}, ["asks for 1 GPUs", "`small` has at most 0"]),
        (
            SlurmOpts(partition="small"),
            {"memMB": 9000, "cpu": 9},
            ["asks for 9000 MiB of memory", "asks for 9 CPUs"],
        ),
        (SlurmOpts(constraint="huge"), {}, ["no node has the feature `huge`"]),
    ],
)
def test_what_can_never_run_is_refused_with_the_limit(
    opts: SlurmOpts, resource: dict[str, int], faults: list[str]
) -> None:
    with pytest.raises(partitions.SlurmLimitError) as raised:
        partitions.check(app(**resource), opts, GROUPS)
    for fault in faults:
        assert re.search(re.escape(fault), str(raised.value))


def test_nothing_is_refused_where_nothing_is_known() -> None:
    partitions.check(app(cpu=10**6), SlurmOpts(partition="x", time="?"), [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("2:00:01", 7201),
        ("1-2", 93600),
        ("1-2:03", 93780),
        ("1-02:03:04", 93784),
        ("infinite", None),
        ("UNLIMITED", None),
        ("soon", None),
    ],
)
def test_time_limits(text: str, seconds: int | None) -> None:
    assert partitions.time_s(text) == seconds
