"""Result trackers on real file systems."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from torchx.runtime.tracking import FsspecResultTracker, ResultTracker
from torchx.runtime.tracking.api import KeyType, ResultType


@pytest.fixture(params=["file", "memory"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FsspecResultTracker]:
    base = str(tmp_path / "results") if request.param == "file" else f"memory:/{tmp_path}"
    yield FsspecResultTracker(base)
    fsspec.filesystem("memory").store.clear()


def test_types_and_names_come_back(tracker: FsspecResultTracker) -> None:
    results: dict[str, ResultType] = {"n": 1, "x": 0.5, "s": "téxt", "loss/mean": 0.1}
    tracker["a/b"] = results
    assert tracker["a/b"] == results
    assert tracker.get("a/b") == results


def test_missing_key_is_empty(tracker: FsspecResultTracker) -> None:
    assert tracker[7] == {}
    tracker["a"] = {"x": 1}
    assert tracker["a/b"] == {}


def test_last_put_wins_and_numbers_are_keys_like_their_text(tracker: FsspecResultTracker) -> None:
    tracker.put(1, x=1, y=2)
    tracker.put("1", x=3)
    assert tracker[1] == {"x": 3}


def test_results_may_be_named_like_the_parameters_of_put(tracker: FsspecResultTracker) -> None:
    tracker["k"] = {"key": 1, "self": 2}
    assert tracker["k"] == {"key": 1, "self": 2}


def test_format_on_disk_is_the_published_one(tmp_path: Path) -> None:
    FsspecResultTracker(f"file://{tmp_path}/new")["1"] = {"booth_eval": 0.0, "é": "☃"}
    expected = b'{\n  "booth_eval": 0.0,\n  "\\u00e9": "\\u2603"\n}'
    assert (tmp_path / "new" / "1").read_bytes() == expected


def test_constructor_touches_nothing(tmp_path: Path) -> None:
    FsspecResultTracker(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "", "/", ".."])
def test_key_cannot_lead_out_of_the_base(key: str, tmp_path: Path) -> None:
    tracker = FsspecResultTracker(str(tmp_path / "base"))
    with pytest.raises(ValueError, match="is no key"):
        tracker[key] = {"x": 1}
    with pytest.raises(ValueError, match="is no key"):
        tracker.get(key)


def test_value_that_json_lacks_leaves_the_former_result(tmp_path: Path) -> None:
    tracker = FsspecResultTracker(str(tmp_path))
    tracker["k"] = {"x": 1}
    with pytest.raises(TypeError):
        tracker["k"] = {"x": object()}  # type: ignore[dict-item]  # the point of the test
    assert tracker["k"] == {"x": 1}


def test_file_that_is_no_result_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="holds no results but a list"):
        FsspecResultTracker(str(tmp_path)).get("k")


def test_other_trackers_need_only_put_and_get() -> None:
    class InMemory(ResultTracker):
        def __init__(self) -> None:
            self.stored: dict[KeyType, dict[str, ResultType]] = {}

        def put(self, key: KeyType, **results: ResultType) -> None:
            self.stored[key] = results

        def get(self, key: KeyType) -> dict[str, ResultType]:
            return self.stored.get(key, {})

    tracker = InMemory()
    tracker["k"] = {"x": 1}
    assert tracker["k"] == {"x": 1}
