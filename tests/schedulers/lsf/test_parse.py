"""What the commands of LSF print, recorded and made up, turned into answers."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.schedulers.lsf.recorded import recorded
from torchx.schedulers.lsf import client, states
from torchx.schedulers.lsf.history import read_history
from torchx.schedulers.lsf.parse import (
    DETAIL_FIELDS,
    JobRecord,
    bjobs_msg_to_describe,
    bjobs_msg_to_list,
    describe,
    message,
    read_details,
    read_jobs,
)
from torchx.schedulers.lsf.shell_code import SUBMIT
from torchx.schedulers.lsf.submit import HARMLESS
from torchx.specs import AppState


def detail(*values: str) -> str:
    given = [*values, *["-"] * (len(DETAIL_FIELDS) - len(values))]
    return "^".join(given) + "\n"


def test_recorded_fields_of_jobs_have_states() -> None:
    (entry,) = recorded("fields")
    rows = [line.split() for line in entry.out.strip().split("\n")[1:]]
    text = "".join(f"{row[2]}   {row[3]} {row[1]} -\n" for row in rows)
    found = {job.name: job.state for job in read_jobs(text)}
    assert found["app-a-w-1"] == AppState.RUNNING
    assert found["held"] == AppState.PENDING
    assert found["app-a-w-2"] == AppState.FAILED
    assert found["desc"] == AppState.SUCCEEDED


def test_jobs_that_torchx_did_not_name_count_for_the_state_only() -> None:
    text = "app app-w-0 DONE -\napp held PSUSP -\napp x DONE\n\napp app-w- DONE -\n"
    response = bjobs_msg_to_describe("app", text)
    assert response is not None
    assert response.state == AppState.PENDING
    assert [(role.name, role.num_replicas) for role in response.roles] == [("w", 1)]


WORDS = ["RUN -", "PEND -", "UNKWN -", "EXIT 1", "EXIT 130", "DONE -"]


@pytest.mark.parametrize("count", [2, 3])
def test_the_state_of_an_app_does_not_depend_on_the_order_of_its_jobs(count: int) -> None:
    for words in permutations(WORDS, count):
        expected = states.get_job_state(*min(words, key=WORDS.index).split())
        text = "\n".join(f"app app-r-{k} {word}" for k, word in enumerate(words))
        response = bjobs_msg_to_describe("app", text)
        assert response is not None
        assert response.state == expected
        (listed,) = bjobs_msg_to_list(text.replace("app-r-0 ", "").replace("app-r-1 ", ""))[:1]
        if count == 2:
            assert listed.state == expected


@given(st.text(alphabet=st.sampled_from("ab-0 ^\n\t<>:EXITDONERUN"), max_size=200))
def test_no_text_breaks_a_parser(text: str) -> None:
    bjobs_msg_to_describe("a", text)
    bjobs_msg_to_list(text)
    describe("a", read_details(text))
    read_history(text)


def test_details_tell_hosts_and_reasons() -> None:
    text = (
        detail("a-x", "a-x-w-0", "RUN", "-", "4*node3:node2")
        + detail("a-x", "a-x-w-1", "EXIT", "137", "node1", "TERM_MEMLIMIT: job killed")
        + detail("a-x", "a-x-w-2", "PEND", "-", "-", "-", "Job's reasons; with a ^ in it")
        + "cut^off\n"
    )
    first, second, third = read_details(text)
    assert (first.host, first.state) == ("node3", AppState.RUNNING)
    assert (second.host, second.state) == ("node1", AppState.FAILED)
    assert third.pend_reason == "Job's reasons; with a ^ in it"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (JobRecord("a", "a-w-0", "EXIT", "3"), "FAILED: a-w-0: exit code 3"),
        (
            JobRecord("a", "a-w-0", "EXIT", "140", "", "TERM_RUNLIMIT: job killed after"),
            "FAILED: a-w-0: exit code 140 (it reached its run limit)",
        ),
        (
            JobRecord("a", "a-w-0", "EXIT", "137", "", "TERM_OWNER: job killed by owner"),
            "CANCELLED: a-w-0: exit code 137 (cancelled)",
        ),
        (
            JobRecord("a", "a-w-0", "EXIT", "-", "", "TERM_NEW_WORD: who knows"),
            "FAILED: a-w-0: TERM_NEW_WORD: who knows",
        ),
        (JobRecord("a", "", "EXIT", "-"), "FAILED: no exit code is known"),
        (
            JobRecord("a", "a-w-0", "PSUSP"),
            "waiting: a-w-0: it is held; release it with `bresume`",
        ),
        (JobRecord("a", "a-w-0", "PEND"), ""),
        (
            JobRecord("a", "a-w-0", "PEND", pend_reason="A new reason: 3 hosts;"),
            "waiting: a-w-0: A new reason: 3 hosts",
        ),
        (JobRecord("a", "a-w-0", "UNKWN"), "a-w-0: its host does not answer"),
        (JobRecord("a", "a-w-0", "NEWWORD"), "a-w-0: NEWWORD"),
        (JobRecord("a", "a-w-0", "RUN"), ""),
    ],
)
def test_states_are_explained(record: JobRecord, told: str) -> None:
    assert message([record], record.state) == told


def test_recorded_pending_reasons_are_explained() -> None:
    reasons = {
        line.strip()
        for entry in recorded("pending")
        for line in entry.out.split("\n")
        if line.startswith(" ")
    }
    assert len(reasons) == 3
    for reason in reasons:
        assert states.explain_pending(reason) in states.PENDING_REASONS.values()


def test_recorded_submissions_are_recognised() -> None:
    wanted = re.search(r"=~ (\S.*?) \]\]", SUBMIT)
    assert wanted is not None
    pattern = re.sub(r"\\(.)", r"\1", wanted[1])
    entries = recorded("submitted")
    assert len(entries) == 8
    assert all(re.search(pattern, entry.out) for entry in entries)
    assert not any(re.search(pattern, entry.out + entry.err) for entry in recorded("rejected"))


def test_recorded_failures_are_translated() -> None:
    for entry in recorded("not-found"):
        error = client.failure("bjobs", entry.code, entry.err or entry.out)
        assert isinstance(error, client.UnknownProjectError), entry
    for entry in recorded("not-known"):
        error = client.failure(entry.command.split()[0], entry.code, entry.err)
        assert "LSF 10.1" in error.hint
    for entry in recorded("rejected"):
        error = client.failure("bsub", entry.code, entry.err)
        assert entry.err.split("\n")[0].rstrip() in str(error)
        assert not error.transient
    down = client.failure("bjobs", 255, "LSF is down. Please wait ...")
    assert down.transient


def test_recorded_histories_tell_the_last_state() -> None:
    found = {}
    for entry in recorded("bhist"):
        for record in read_history(entry.out):
            found[record.name] = (record.project, record.state, record.exit_code)
    assert found == {
        "app-a-w-2": ("app-a", AppState.FAILED, "3"),
        "app-a-w-0": ("app-a", AppState.CANCELLED, "130"),
        "held": ("app-a", AppState.CANCELLED, "-"),
        "rq": ("rq", AppState.CANCELLED, "30"),
        "again": ("rq", AppState.PENDING, "130"),
    }


def test_every_ending_is_final() -> None:
    assert {state for state, _ in states.ENDINGS.values()} == {
        AppState.FAILED,
        AppState.CANCELLED,
    }


def test_recorded_complaints_of_bkill_about_ended_jobs_do_no_harm() -> None:
    lines = [line for entry in recorded("bkill") for line in entry.err.split("\n") if line]
    serious = [line for line in lines if not HARMLESS.search(line)]
    assert len(lines) == 7
    assert serious == ["Job ID or one of '-m', '-u' '-q' and '-J' must be specified."]
