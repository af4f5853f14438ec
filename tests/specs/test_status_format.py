from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchx.specs.app import NONE
from torchx.specs.status import (
    AppState,
    AppStatus,
    MeasuredReplicaStatus,
    ReplicaStatus,
    ReplicaUsage,
    RoleStatus,
)

TIMESTAMP = 1_704_164_645
LOCAL_TIME = str(datetime.datetime.fromtimestamp(TIMESTAMP))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
error_fields = st.sampled_from(["message", "errorCode", "extraInfo", "timestamp"])
errors = st.recursive(json_values, lambda inner: st.dictionaries(error_fields, inner))


def format_replica(error: str, state: AppState = AppState.FAILED) -> str:
    replica = ReplicaStatus(0, state, "trainer", "node7", error)
    text = AppStatus(AppState.FAILED, roles=[RoleStatus("trainer", [replica])]).format()
    return text.partition("Roles: ")[2].partition("\n    Msg: ")[0]


def format_message(msg: str, header: str = "", width: int = 80) -> str:
    return AppStatus._format_error_message(msg, header, width)


def test_whole_text() -> None:
    error = {
        "message": {
            "message": "ValueError: bad lr",
            "errorCode": 3,
            "extraInfo": {"timestamp": TIMESTAMP},
        }
    }
    replicas = [
        ReplicaStatus(2, AppState.RUNNING, "trainer", "node9"),
        ReplicaStatus(0, AppState.FAILED, "trainer", "node7", json.dumps(error)),
        ReplicaStatus(1, AppState.CANCELLED, "trainer", "node8"),
    ]
    status = AppStatus(AppState.RUNNING, roles=[RoleStatus("trainer", replicas)])
    assert status.format() == (
        "AppStatus:\n"
        "    State: RUNNING\n"
        "    Num Restarts: 0\n"
        "    Roles: \n"
        " *trainer[0]:FAILED (exitcode: 3)\n"
        f"        timestamp: {LOCAL_TIME}\n"
        "        hostname: node7\n"
        "        error_msg: ValueError: bad lr\n"
        "  trainer[1]:CANCELLED (no reply file)\n"
        "  trainer[2]:RUNNING\n"
        "    Msg: \n"
        "    Structured Error Msg: <NONE>\n"
        "    UI URL: None\n"
        "    "
    )


@pytest.mark.parametrize(
    ("state", "remark"),
    [
        (AppState.FAILED, " (no reply file)"),
        (AppState.CANCELLED, " (no reply file)"),
        (AppState.SUCCEEDED, ""),
        (AppState.PENDING, ""),
    ],
)
def test_replica_without_error_file(state: AppState, remark: str) -> None:
    assert format_replica(NONE, state) == f"\n *trainer[0]:{state}{remark}"


@pytest.mark.parametrize("timestamp", [TIMESTAMP, str(TIMESTAMP)])
def test_flat_and_nested_error_files_look_the_same(timestamp: object) -> None:
    flat = {"message": "bad", "errorCode": 3, "timestamp": timestamp}
    nested = {"message": {"message": "bad", "errorCode": 3, "extraInfo": {"timestamp": timestamp}}}
    assert format_replica(json.dumps(flat)) == format_replica(json.dumps(nested))
    assert f"timestamp: {LOCAL_TIME}\n" in format_replica(json.dumps(flat))


@pytest.mark.parametrize("timestamp", [None, "yesterday", 10**30, -(10**30), [], {}, "1e400"])
def test_unusable_timestamp_is_not_available(timestamp: object) -> None:
    text = format_replica(json.dumps({"message": "bad", "timestamp": timestamp}))
    assert "trainer[0]:FAILED (exitcode: <N/A>)\n        timestamp: <N/A>\n" in text
    assert "timestamp: <N/A>" in format_replica('{"message": "bad", "timestamp": NaN}')


@pytest.mark.parametrize(
    "error",
    [
        "Killed\n  by the kernel",
        "[1, 2]",
        '"text"',
        "null",
        "{}",
        '{"message": null}',
        '{"message": {"message": 1}}',
        '{"message": {"errorCode": 1}}',
        '{"message": ["bad"]}',
        "{" + " " * 500 + "}",
    ],
)
def test_error_file_in_any_other_form_is_shown_as_it_is_behind_its_replica(error: str) -> None:
    text = format_replica(error)
    assert text.startswith("\n *trainer[0]:FAILED\n        hostname: node7\n")
    assert text.endswith(f"        error_msg: {error}")


@settings(max_examples=30, deadline=None)
@given(errors)
def test_no_error_file_breaks_the_status(error: object) -> None:
    assert "trainer[0]:FAILED" in format_replica(json.dumps(error))
    assert "trainer[0]:FAILED" in format_replica(str(error))


def test_usage_is_shown_for_a_running_replica() -> None:
    def text(state: AppState, rss_bytes: int) -> str:
        usage = ReplicaUsage(rss_bytes, cpu_time_s=12.34)
        replica = MeasuredReplicaStatus(0, state, "r", "host", usage=usage)
        return AppStatus(state, roles=[RoleStatus("r", [replica])]).format()

    assert "*r[0]:RUNNING (rss 1.2 GiB, cpu 12.3 s)\n" in text(AppState.RUNNING, 1_288_490_189)
    assert "(rss 512 B, cpu 12.3 s)" in text(AppState.RUNNING, 512)
    assert "(rss 4096.0 GiB, cpu 12.3 s)" in text(AppState.RUNNING, 2**42)
    assert "*r[0]:SUCCEEDED\n" in text(AppState.SUCCEEDED, 512)
    unmeasured = MeasuredReplicaStatus(0, AppState.RUNNING, "r", "host")
    assert (
        "*r[0]:RUNNING\n"
        in AppStatus(AppState.RUNNING, roles=[RoleStatus("r", [unmeasured])]).format()
    )


def test_error_from_a_remote_worker_is_cut_out_of_its_traceback() -> None:
    wrapped = (
        "RuntimeError('On WorkerInfo(id=1, name=trainer:0:0):\n"
        "RuntimeError(ShardingError('Table of size 715.26GB cannot be added to any rank'))\n"
        "Traceback (most recent call last):\n"
        "..\n"
        "')"
    )
    message = f"Traceback (most recent call last):\n  here\n{wrapped}\nTraceback: more\n"
    assert format_message(message) == wrapped.replace("'Table of size", "'Table\n of size")


@pytest.mark.parametrize(
    "message",
    [
        "RuntimeError('On WorkerInfo(id=1):\nnever closed",
        "RuntimeError('On WorkerInfo(id=1):",
        "('On WorkerInfo(id=1):\nno word before\n')",
        "RuntimeError('On WorkerInfo(id=1)\nno colon\n')",
        "RuntimeError('On WorkerInfo(id=1):\n  ') is indented",
        "RuntimeError('On WorkerInfo():\nnothing inside",
    ],
)
def test_text_that_is_no_remote_error_is_kept(message: str) -> None:
    assert format_message(message) == message


def test_remote_error_is_found_behind_something_similar() -> None:
    remote = "E('On WorkerInfo(1):\nx\n')"
    assert format_message(f"('On WorkerInfo(\n x('On WorkerInfo(\n{remote}\nend") == remote


def test_nested_exception_leaves_the_line_before_it() -> None:
    assert format_message("first\nouter message\nException raised from\nrest") == "outer message"


def test_message_is_wrapped_and_indented_behind_its_header() -> None:
    message = "one two three four\nfive six seven"
    assert format_message(message, "head: ", width=9) == (
        "head: one two three\n       four\n      five\n       six seven"
    )
    with pytest.raises(AssertionError):
        format_message("text", header="x" * 80)


@given(st.text(), st.integers(1, 20))
def test_wrapping_only_adds_newlines(message: str, width: int) -> None:
    wrapped = format_message(message.replace("\nException", ""), "", width)
    assert wrapped.replace("\n", "") == message.replace("\nException", "").replace("\n", "")


@pytest.mark.parametrize(
    "message",
    [
        "x" * 1_000_000,
        "x('On WorkerInfo(" * 60_000,
        "x('On WorkerInfo(1):\n" * 60_000 + "('On WorkerInfo(1):\n" * 60_000,
        "x" * 500_000 + "('On WorkerInfo(1:\n" * 30_000 + "\n')",
        "x ('On WorkerInfo(1):\n" * 60_000 + "\n')",
    ],
)
def test_time_does_not_grow_with_the_square_of_a_long_word(message: str) -> None:
    assert format_message(message).replace("\n", "") == message.replace("\n", "")


def test_huge_error_is_shortened_in_the_middle() -> None:
    text = format_replica(json.dumps({"message": "start " + "x" * 1_000_000 + " end"}))
    assert len(text) < 70_000
    assert "error_msg: start xxx" in text
    assert text.endswith("xxx\n" + " " * 20 + "end")
    assert "characters left out" in text
