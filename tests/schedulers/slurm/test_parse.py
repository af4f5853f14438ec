"""The text of squeue and sacct, and what is answered from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.slurm import answers, parse, queries
from torchx.schedulers.slurm.mark import Mark, read_mark
from torchx.schedulers.slurm.records import JobRecord, expand_nodes, group_by_app
from torchx.schedulers.slurm.states import REASONS, SLURM_STATES, explain_reason, state_word
from torchx.specs import AppState


def squeue_row(**given: str) -> str:
    fields = dict.fromkeys(queries.SQUEUE_COLUMNS, "")
    fields.update({"HetJobID": "0", "HetJobOffset": "N/A", "ArrayTaskID": "N/A", **given})
    values = [f"{value:<20}" for value in fields.values()]
    return queries.FIELD_END.join(values) + queries.RECORD_END


def test_a_row_of_squeue_is_read() -> None:
    row = squeue_row(
        JobID="2",
        HetJobID="1",
        HetJobOffset="1",
        ArrayJobID="2",
        Name="w-1",
        State="RUNNING",
        Reason="None",
        NodeList="node2",
        exit_code="0",
        RestartCnt="3",
        StartTime="2026-11-24T05:43:32",
        UserName="me",
        NumCPUs="4",
        MinMemory="2G",
        WorkDir="/w",
        Command="/tmp/x.sh",
        Comment="two\nlines",
    )
    assert parse.read_squeue(row) == [
        JobRecord(
            app_id="1",
            offset=1,
            name="w-1",
            state="RUNNING",
            reason="None",
            nodes="node2",
            comment="two\nlines",
            exit_code="0:0",
            restarts=3,
            expected_start="2026-11-24T05:43:32",
            user="me",
            working_dir="/w",
            command="/tmp/x.sh",
            cpu=4,
            memory_mib=2048,
        )
    ]


@pytest.mark.parametrize(
    ("fields", "app_id", "offset"),
    [
        ({"JobID": "8", "ArrayJobID": "8"}, "8", 0),
        ({"JobID": "11", "ArrayJobID": "10", "ArrayTaskID": "4"}, "10", 4),
        ({"JobID": "10", "ArrayJobID": "10", "ArrayTaskID": "2-3%2"}, "10", 0),
        ({"JobID": "14", "HetJobID": "13", "HetJobOffset": "1"}, "13", 1),
    ],
)
def test_components_and_tasks_belong_to_their_leader(
    fields: dict[str, str], app_id: str, offset: int
) -> None:
    (record,) = parse.read_squeue(squeue_row(**fields))
    assert (record.app_id, record.offset) == (app_id, offset)


def sacct_table(*rows: tuple[str, ...]) -> str:
    lines = [queries.FIELD_END.join(row) for row in (queries.SACCT_COLUMNS, *rows)]
    return "\n".join(lines) + "\n"


def test_rows_of_sacct_are_read_also_with_comments_of_several_lines() -> None:
    first = ("1+0", "w-0", "CANCELLED by 7", "0:0", "None", "node1", "me", "2", "/w", "a\nb\x1fc")
    second = ("1+1", "w-1", "RUNNING", "0:0", "", "None assigned", "me", "2", "/w", "")
    records = parse.read_sacct(sacct_table(first, second))
    assert [(record.offset, record.state, record.nodes) for record in records] == [
        (0, "CANCELLED by 7", "node1"),
        (1, "RUNNING", ""),
    ]
    assert records[0].comment.startswith("a\nb")


@given(st.text(), st.sampled_from([parse.read_squeue, parse.read_sacct]))
def test_no_text_makes_reading_fail(text: str, read: object) -> None:
    assert callable(read)
    for record in read(text):
        answers.describe([record])


def record(**given: object) -> JobRecord:
    return JobRecord(**{"app_id": "1", "name": "a-0", **given})  # type: ignore[arg-type]  # any


@pytest.mark.parametrize(
    ("fields", "state", "msg"),
    [
        (
            {"state": "PENDING", "reason": "Priority", "expected_start": "2026-11-24T14:05:00"},
            AppState.PENDING,
            "waiting: other jobs have priority, expected start 2026-11-24 14:05:00",
        ),
        (
            {"state": "PENDING", "reason": "QOSMaxCpuPerUserLimit"},
            AppState.PENDING,
            "waiting: a limit of its quality of service is reached (QOSMaxCpuPerUserLimit)",
        ),
        ({"state": "RUNNING"}, AppState.RUNNING, "<NONE>"),
        ({"state": "COMPLETING"}, AppState.RUNNING, "completing"),
        ({"state": "COMPLETED", "exit_code": "0:0"}, AppState.SUCCEEDED, "<NONE>"),
        ({"state": "FAILED", "exit_code": "42:0"}, AppState.FAILED, "FAILED: exit code 42"),
        ({"state": "FAILED", "exit_code": "0:9"}, AppState.FAILED, "FAILED: ended by signal 9"),
        (
            {"state": "FAILED", "exit_code": "0:0", "reason": "JobLaunchFailure"},
            AppState.FAILED,
            f"FAILED: {REASONS['JobLaunchFailure']}",
        ),
        ({"state": "TIMEOUT"}, AppState.FAILED, "TIMEOUT: it reached its time limit"),
        ({"state": "CANCELLED by 7"}, AppState.CANCELLED, "CANCELLED: cancelled by 7"),
        ({"state": "SPECIAL_EXIT"}, AppState.UNKNOWN, "special_exit"),
        ({"state": ""}, AppState.UNKNOWN, "<NONE>"),
    ],
)
def test_states_and_reasons_are_sentences(
    fields: dict[str, object], state: AppState, msg: str
) -> None:
    described = answers.describe([record(**fields)])
    assert (described.state, described.msg) == (state, msg)


@pytest.mark.parametrize("word", list(SLURM_STATES))
def test_every_state_that_ends_a_job_badly_says_how(word: str) -> None:
    described = answers.describe([record(state=word, exit_code="1:0")])
    if described.state == AppState.FAILED:
        assert described.msg.startswith(f"{word}: ")


def test_out_of_memory_is_told_by_srun_where_slurm_tells_only_a_failure() -> None:
    told = answers.with_cause("FAILED: exit code 1", "node1: task 0: Out Of Memory")
    assert told.startswith("OUT_OF_MEMORY: it used more memory")
    assert "node1: task 0" in told
    assert answers.with_cause("FAILED: exit code 3", "n: task 1: Exited with exit code 3") == (
        "FAILED: exit code 3 (n: task 1: Exited with exit code 3)"
    )
    assert answers.with_cause("TIMEOUT: x", "n: task 1: Terminated") == "TIMEOUT: x"


@pytest.mark.parametrize("reason", ["None", "Resources", "launch_failed_requeued_held"])
def test_known_reasons_are_sentences(reason: str) -> None:
    assert explain_reason(reason) != reason
    assert " " in explain_reason(reason)


def test_replicas_are_told_by_the_comment() -> None:
    mark = Mark("s", "/state", "/w", {"it's": 2, "b": 1}, (2, 1))
    records = [
        record(name="x", state="RUNNING", nodes="n[1-2]", comment=f"mine {mark}"),
        record(name="x", offset=1, state="PENDING", comment=f"mine {mark}"),
    ]
    described = answers.describe(records)
    assert described.state == AppState.RUNNING
    assert [(role.name, role.num_replicas) for role in described.roles] == [("it's", 2), ("b", 1)]
    assert [
        (status.role, [(one.id, one.hostname, one.state.name) for one in status.replicas])
        for status in described.roles_statuses
    ] == [
        ("it's", [(0, "n1", "RUNNING"), (1, "n2", "RUNNING")]),
        ("b", [(0, "", "PENDING")]),
    ]


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(names, names, names, st.dictionaries(names, st.integers(0, 99), max_size=4))
def test_a_mark_survives_any_comment(
    submission_id: str, directory: str, comment: str, roles: dict[str, int]
) -> None:
    mark = Mark(submission_id, directory, directory, roles, tuple(roles.values()))
    text = str(mark)
    assert text.isascii()
    assert text.split() == [text]
    if "torchx:1;" not in comment:
        assert read_mark(f"{comment} {mark} {comment}") == mark


@pytest.mark.parametrize("comment", ["", "hello", "torchx:1;id=x", "torchx:1;id=1;state=/a;cwd"])
def test_a_comment_that_is_not_ours_or_was_cut_is_no_mark(comment: str) -> None:
    assert read_mark(comment) is None


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("", []),
        ("node1", ["node1"]),
        ("gpu[01-03,7],login1", ["gpu01", "gpu02", "gpu03", "gpu7", "login1"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("odd[x-y]", ["odd[x-y]"]),
    ],
)
def test_lists_of_nodes_are_written_out(text: str, nodes: list[str]) -> None:
    assert expand_nodes(text) == nodes


def test_jobs_are_sorted_into_apps() -> None:
    records = [record(offset=1), record(app_id="2"), record()]
    assert {app: [r.offset for r in group] for app, group in group_by_app(records).items()} == {
        "1": [0, 1],
        "2": [0],
    }


@pytest.mark.parametrize(
    ("text", "status"),
    [("42:0", "42:0"), ("10752", "42:0"), ("9", "0:9"), ("0", "0:0"), ("?", ""), ("", "")],
)
def test_exit_codes_of_all_versions(text: str, status: str) -> None:
    assert parse.exit_status(text) == status


@pytest.mark.parametrize(
    ("text", "mib"), [("100M", 100), ("4G", 4096), ("1.5G", 1536), ("512K", 0), ("x", -1), ("", -1)]
)
def test_amounts_of_memory(text: str, mib: int) -> None:
    assert parse.memory_mib(text) == mib


@pytest.mark.parametrize(
    ("text", "word"), [("CANCELLED by 2166", "CANCELLED"), ("CANCELLED+", "CANCELLED"), (" ", "")]
)
def test_the_word_of_a_state(text: str, word: str) -> None:
    assert state_word(text) == word
