"""Reads what bhist tells about jobs that bjobs has forgotten. Pure, and total."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torchx.schedulers.lsf.parse import JobRecord

_CONTINUED = re.compile(r"\n {21}")
_HEAD = re.compile(
    r"^Job <(?P<id>[^>]*)>, Job Name <(?P<name>[^>]*)>, .*?Project <(?P<project>[^>]*)>"
)
_EVENT = re.compile(r"^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d(?: \d{4})?: (?P<event>.*)")
_EXIT_CODE = re.compile(r"exit code (\d+)")
_SIGNAL = re.compile(r"by signal (\d+)")
_REASON = re.compile(r"TERM_\w+")

_WORDS: Mapping[str, str] = {
    "Submitted": "PEND",
    "Pending": "PEND",
    "Dispatched": "RUN",
    "Start": "RUN",
    "Running": "RUN",
    "Suspended": "SSUSP",
    "Unknown": "UNKWN",
    "Done successfully": "DONE",
    "Exited": "EXIT",
}
"""Begin of an event -> word of LSF for the state that it leads to."""


def read_history(text: str) -> list[JobRecord]:
    """Reads the answer of ``bhist -l``.

    Args:
        text: What bhist printed.

    Returns:
        The jobs, in the state that their last event led to.
    """
    records: list[JobRecord] = []
    for line in _CONTINUED.sub("", text).split("\n"):
        head = _HEAD.match(line)
        event = _EVENT.match(line)
        if head is not None:
            records.append(JobRecord(head["project"], head["name"]))
        elif event is not None and records:
            records[-1] = _after(records[-1], event["event"])
    return records


def _after(record: JobRecord, event: str) -> JobRecord:
    if event.startswith("Signal <KILL> requested"):
        return replace(record, exit_reason="TERM_OWNER")
    word = next((word for start, word in _WORDS.items() if event.startswith(start)), record.word)
    if word != "EXIT":
        return replace(record, word=word)
    code, signal, reason = _EXIT_CODE.search(event), _SIGNAL.search(event), _REASON.search(event)
    return replace(
        record,
        word=word,
        exit_code=code[1] if code else str(128 + int(signal[1])) if signal else "-",
        exit_reason=reason[0] if reason else record.exit_reason,
    )
