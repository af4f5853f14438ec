"""The tracker that keeps files, on a disk, in memory and in an object store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.tracker.api import (
    AppRun,
    Lineage,
    MetricPoint,
    TrackerArtifact,
    TrackerDescendant,
    TrackerSource,
)
from torchx.tracker.backend import fsspec as backend
from torchx.tracker.backend.fsspec import (
    FsspecTracker,
    _decode_torchx_run_id,
    _encode_torchx_run_id,
    _read_config,
    create,
    generate_filename,
)

RUN = "local_cwd://torchx/app-1"
ENCODED = "NRXWGYLML5RXOZB2F4XXI33SMNUHQL3BOBYC2MI="
LONG = "aws_batch://torchx/" + "queue:name-" * 40 + "ü"


def _s3(url: str) -> Any:
    return fsspec.filesystem("s3", key="k", secret="s", endpoint_url=url)


@pytest.fixture(params=["file", "memory", "s3"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FsspecTracker]:
    if request.param == "s3":
        fs = _s3(request.getfixturevalue("s3_url"))
        bucket = f"b-{os.urandom(6).hex()}"
        fs.mkdir(bucket)
        yield FsspecTracker(fs, f"s3://{bucket}/a/prefix")
        return
    fs = fsspec.filesystem(request.param)
    root = f"{tmp_path}/root [1]"
    fs.makedirs(root)
    yield FsspecTracker(fs, root)
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def local(tmp_path: Path) -> FsspecTracker:
    return FsspecTracker(fsspec.filesystem("file"), str(tmp_path))


def test_everything_comes_back_on_every_file_system(tracker: FsspecTracker) -> None:
    assert tracker.run_ids() == []
    assert tracker.metadata(RUN) == {}
    assert tracker.artifacts(RUN) == {}
    assert list(tracker.sources(RUN)) == []
    assert tracker.metrics(RUN) == {}
    tracker.add_metadata(RUN, lr=0.1, n=2, name="ü")
    tracker.add_metadata(RUN, lr=0.2)
    tracker.add_artifact(RUN, "model", "s3://b/1.pt", {"epoch": 1})
    tracker.add_artifact(RUN, "model", "s3://b/2.pt")
    tracker.add_metrics(RUN, {"loss": 0.5}, 1)
    tracker.add_metrics(RUN, {"loss": 0.25, "accuracy": 1}, 2)
    tracker.add_source(LONG, RUN, "model")
    tracker.add_source(LONG, RUN)
    tracker.add_source(LONG, RUN, "model")
    assert sorted(tracker.run_ids()) == sorted([RUN, LONG])
    assert tracker.run_ids(parent_run_id=RUN) == [LONG]
    assert tracker.metadata(RUN) == {"lr": 0.2, "n": 2, "name": "ü"}
    assert tracker.artifacts(RUN) == {"model": TrackerArtifact("model", "s3://b/2.pt", None)}
    assert tracker.metrics(RUN) == {
        "loss": [MetricPoint(1, 0.5), MetricPoint(2, 0.25)],
        "accuracy": [MetricPoint(2, 1)],
    }
    links = [TrackerSource(RUN, "model"), TrackerSource(RUN, None)]
    assert tracker.lineage(LONG) == Lineage(links, [])
    assert list(tracker.sources(LONG, "model")) == links[:1]
    back = [TrackerDescendant(LONG, "model"), TrackerDescendant(LONG, None)]
    assert tracker.lineage(RUN) == Lineage([], back)


def test_files_are_where_other_programs_look_for_them(local: FsspecTracker, tmp_path: Path) -> None:
    local.add_metadata(RUN, lr=0.1, n=2, name="ü")
    local.add_artifact(RUN, "model", "s3://b/m.pt", {"epoch": 1})
    local.add_source("r2", RUN, "model")
    local.add_source("r2", RUN)
    (metadata,) = (tmp_path / ENCODED / "metadata").iterdir()
    assert metadata.name.isdecimal()
    assert metadata.read_bytes() == rb'{"metadata": {"lr": 0.1, "n": 2, "name": "\u00fc"}}'
    (artifact,) = (tmp_path / ENCODED / "artifacts").iterdir()
    expected = b'{"name": "model", "path": "s3://b/m.pt", "metadata": {"epoch": 1}}'
    assert artifact.read_bytes() == expected
    assert (tmp_path / "OIZA====" / "sources" / ENCODED).read_bytes() == b"model\n\n"
    assert (tmp_path / ENCODED / "descendants" / "OIZA====").read_bytes() == b"model\n\n"
    assert sorted(os.listdir(tmp_path / ENCODED)) == ["artifacts", "descendants", "metadata"]


def test_a_source_that_is_no_run_does_not_become_one(local: FsspecTracker) -> None:
    local.add_source(RUN, "s3://bucket/data")
    assert local.run_ids() == [RUN]
    with pytest.raises(TypeError):
        local.run_ids(user="me")  # type: ignore[call-arg]  # the point of the test


def test_links_of_earlier_releases_are_followed_backwards(
    local: FsspecTracker, tmp_path: Path
) -> None:
    local.add_metadata(RUN, a=1)
    sources = tmp_path / "OIZA====" / "sources"
    sources.mkdir(parents=True)
    (sources / ENCODED).write_text("\nmodel\n")
    assert local.lineage(RUN).descendants == [
        TrackerDescendant("r2", None), TrackerDescendant("r2", "model")
    ]  # fmt: skip


@given(st.text(min_size=1))
def test_every_id_is_a_name_and_comes_back(run_id: str) -> None:
    try:
        run_id.encode()
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return
    assert _decode_torchx_run_id(_encode_torchx_run_id(run_id)) == run_id


def test_ids_are_in_base_32() -> None:
    assert _encode_torchx_run_id(RUN) == ENCODED
    assert _decode_torchx_run_id(ENCODED) == RUN
    assert abs(int(generate_filename()) - int(generate_filename())) < 10**10


def test_what_is_no_run_is_passed_over(local: FsspecTracker, tmp_path: Path) -> None:
    local.add_metadata(RUN, a=1)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "README").write_text("x")
    assert local.run_ids() == [RUN]


def test_the_later_file_wins_however_they_are_listed(
    local: FsspecTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("999", "1000", "1001"):
        monkeypatch.setattr(backend, "generate_filename", lambda name=name: name)
        local.add_metadata(RUN, k=name)
    assert local.metadata(RUN) == {"k": "1001"}


def test_two_writers_in_one_nanosecond_both_count(
    tracker: FsspecTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "generate_filename", lambda: "1000")
    for number in range(5):
        tracker.add_metadata(RUN, **{f"k{number}": number})
    assert tracker.metadata(RUN) == {f"k{number}": number for number in range(5)}


def test_damaged_files_are_named_and_passed_over(
    local: FsspecTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local.add_metadata(RUN, a=1)
    directory = tmp_path / ENCODED / "metadata"
    for name, content in {"1": '{"metadata": {"b', "2": "", "3": "[]", "4": "7"}.items():
        (directory / name).write_text(content)
    (directory / ".torchx-0.tmp").write_text("{")
    assert local.metadata(RUN) == {"a": 1}
    assert [f"{directory}/{name} is passed over" in caplog.text for name in "1234"] == [True] * 4


def test_values_that_json_lacks_are_refused_before_anything_is_written(
    local: FsspecTracker, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="JSON has no set"):
        local.add_metadata(RUN, bad={1})
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_libraries_and_paths_are_kept(local: FsspecTracker) -> None:
    torch = pytest.importorskip("torch")
    local.add_metadata(RUN, loss=torch.tensor(0.5), path=Path("/data"))
    local.add_metrics(RUN, {"loss": torch.tensor(0.25)}, 1)
    assert local.metadata(RUN) == {"loss": 0.5, "path": "/data"}
    assert local.metrics(RUN) == {"loss": [MetricPoint(1, 0.25)]}


def test_long_curves_take_few_files(local: FsspecTracker, tmp_path: Path) -> None:
    for step in range(600):
        local.add_metrics(RUN, {"loss": step}, step)
    assert local.metrics(RUN)["loss"] == [MetricPoint(step, step) for step in range(600)]
    assert len(os.listdir(tmp_path / ENCODED / "metrics")) == 3


def test_disks_without_hard_links_work(
    local: FsspecTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*paths: str) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", link)
    local.add_metadata(RUN, a=1)
    local.add_metadata(RUN, a=2)
    assert local.metadata(RUN) == {"a": 2}


def test_ten_thousand_runs_are_listed_without_looking_into_any(
    local: FsspecTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [f"s://n/app-{number:05}" for number in range(10_000)]
    for run_id in runs:
        (tmp_path / _encode_torchx_run_id(run_id)).mkdir()
    listed: list[str] = []
    scandir = os.scandir

    def note(path: str) -> Any:
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: pytest.fail("a file was opened"))
    assert sorted(local.run_ids()) == runs
    assert listed == [str(tmp_path)]


def test_a_root_that_does_not_exist_is_an_error(tmp_path: Path, s3_url: str) -> None:
    with pytest.raises(AssertionError, match="is expected to exist"):
        FsspecTracker(fsspec.filesystem("file"), str(tmp_path / "none"))
    with pytest.raises(AssertionError, match="is expected to exist"):
        FsspecTracker(_s3(s3_url), "no-such-bucket/prefix")
    assert repr(FsspecTracker(fsspec.filesystem("file"), str(tmp_path))) == (
        f"<FsspecTracker: root_path={tmp_path}>"
    )


def _config(tmp_path: Path, text: str) -> str:
    (tmp_path / "tracker.conf").write_text(text)
    return f"file://{tmp_path}/tracker.conf"


def test_a_file_describes_the_tracker(tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        f"# comment\nprotocol = file\nroot_path={tmp_path}\n\nnonsense\nauto_mkdir=false\n"
        "client_kwargs.foo.bar=baz\nclient_kwargs.foo.a=b=c\n",
    )
    assert _read_config(config) == {
        "protocol": "file",
        "root_path": str(tmp_path),
        "auto_mkdir": "false",
        "client_kwargs": {"foo": {"bar": "baz", "a": "b=c"}},
    }
    tracker = create(config)
    assert isinstance(tracker, FsspecTracker)
    assert tracker._path_builder.root_dir == str(tmp_path)
    assert tracker._fs.auto_mkdir is False


def test_options_reach_an_object_store_with_their_types(tmp_path: Path, s3_url: str) -> None:
    options = (
        f"key=k\nsecret=s\nendpoint_url={s3_url}\nuse_ssl=false\nmax_concurrency=3\n"
        "client_kwargs.region_name=us-east-1\nclient_kwargs.verify=false\n"
    )
    _s3(s3_url).mkdir("from-a-file")
    tracker = create(_config(tmp_path, f"protocol=s3\nroot_path=s3://from-a-file/x\n{options}"))
    assert isinstance(tracker, FsspecTracker)
    assert (tracker._fs.use_ssl, tracker._fs.max_concurrency) == (False, 3)
    assert tracker._fs.client_kwargs == {"region_name": "us-east-1", "verify": False}
    tracker.add_metadata(RUN, a=1)
    assert tracker.metadata(RUN) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol=file\n", "tracker.conf lacks root_path"),
        ("", "lacks protocol and root_path"),
        ("protocol=file\nroot_path=/\na.=1\n", "`a.` must not end with a dot"),
        ("a.b.=1\n", "must not end with a dot"),
        ("a=1\na.b=2\n", "`a` has a value, so that `a.b` cannot be below it"),
        ("a.b=2\na=1\n", "`a` is given a value, but other keys are below it"),
    ],
)
def test_a_file_with_mistakes_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        create(_config(tmp_path, text))


def test_no_configuration_says_where_to_put_it() -> None:
    with pytest.raises(ValueError, match="TORCHX_TRACKER_FSSPEC_CONFIG"):
        create(None)


WRITER = """
import sys, fsspec
from torchx.tracker.backend.fsspec import FsspecTracker
root, run, name = sys.argv[1:]
tracker = FsspecTracker(fsspec.filesystem("file"), root)
number = 0
while True:
    tracker.add_metadata(run, **{name: number})
    tracker.add_metrics(run, {name: number}, number)
    tracker.add_artifact(run, f"{name}-{number % 7}", "p" * 3000, {"number": number})
    tracker.add_source(run, "source", f"{name}-{number % 50}")
    print(number, flush=True)
    number += 1
"""


def test_writers_that_are_killed_leave_only_whole_files(
    local: FsspecTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local.add_metadata("source", a=1)
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), RUN, name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    }
    told: dict[str, int] = {}
    for enough, (name, writer) in zip((20, 60, 110), writers.items(), strict=True):
        assert writer.stdout
        for line in writer.stdout:
            told[name] = int(line)
            if told[name] >= enough:
                break
        writer.send_signal(signal.SIGKILL)
        told[name] = max([told[name], *map(int, writer.communicate()[0].split())])
    metadata, metrics = local.metadata(RUN), local.metrics(RUN)
    for name, number in told.items():
        # The last write may have been finished, but not told.
        assert metadata[name] in (number, number + 1)
        assert [point.step for point in metrics[name]][: number + 1] == list(range(number + 1))
    names = {source.artifact_name for source in local.sources(RUN)}
    assert names >= {f"{name}-{each}" for name, n in told.items() for each in range(min(50, n + 1))}
    assert set(local.artifacts(RUN)) == {f"{name}-{each}" for name in told for each in range(7)}
    assert not [record for record in caplog.records if "damaged" in record.message]
    for path in tmp_path.rglob("*"):
        if path.name.isdecimal():
            json.loads(path.read_text())


def test_threads_that_link_at_once_lose_nothing(local: FsspecTracker) -> None:
    def link(name: str) -> None:
        for number in range(20):
            local.add_source(RUN, "data", f"{name}-{number}")

    threads = [threading.Thread(target=link, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"{name}-{number}" for name in "abcd" for number in range(20)}
    assert {source.artifact_name for source in local.sources(RUN)} == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)]
    mounted = subprocess.run(argv, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_costs_what_does_not_fit_and_nothing_else(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = FsspecTracker(fsspec.filesystem("file"), str(small_disk))
    run = AppRun(RUN, [tracker])
    run.add_metrics(0, loss=1.0)
    for number in range(200):
        run.add_metadata(**{f"k{number}": "v" * 3000})
    run.add_metrics(1, loss=0.5)
    kept = dict(run.metadata())
    assert 10 < len(kept) < 200
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "add_metadata failed, the job goes on without it: OSError: [Errno 28]" in warnings[0]
    (filler,) = sorted((small_disk / ENCODED / "metadata").iterdir())[:1]
    filler.unlink()
    run.add_metrics(2, loss=0.25)
    assert run.metadata() == {name: value for name, value in kept.items() if name != "k0"}
    steps = [point.step for point in tracker.metrics(RUN)["loss"]]
    assert steps == [0, 1, 2]
    assert not list(small_disk.rglob("*.tmp"))
