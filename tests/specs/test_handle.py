from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.errors import TorchXError
from torchx.specs.handle import (
    MalformedAppHandleException,
    ParsedAppHandle,
    UnknownAppException,
    UnknownSchedulerException,
    make_app_handle,
    parse_app_handle,
)

printable = st.characters(exclude_categories=["C", "Z"])
words = st.text(printable, min_size=1)
backends = words.filter(lambda text: "://" not in text and not text.endswith((":", ":/")))
app_ids = words.filter(lambda text: "/" not in text)


@pytest.mark.parametrize(
    ("handle", "parts"),
    [
        ("local://s/a1", ("local", "s", "a1")),
        ("local:///a1", ("local", "", "a1")),
        ("k8s://ns/x/y/z", ("k8s", "ns/x/y", "z")),
        ("kubernetes://u/queue:job-1", ("kubernetes", "u", "queue:job-1")),
    ],
)
def test_handle_is_taken_apart(handle: str, parts: tuple[str, str, str]) -> None:
    assert parse_app_handle(handle) == ParsedAppHandle(*parts) == parts


@pytest.mark.parametrize("handle", ["s/a1", "local://s/", "local://a1", "://s/a", "", "local:/s/a"])
def test_text_that_is_no_handle_is_refused(handle: str) -> None:
    with pytest.raises(MalformedAppHandleException) as caught:
        parse_app_handle(handle)
    assert "<scheduler_backend>://<session_name>/<app_id>" in str(caught.value)
    assert repr(handle) in str(caught.value)


@pytest.mark.parametrize("garbage", ["\n", " ", "\r\n", "\t", "\x00", "\x1b[0m", "\nmore text"])
def test_text_behind_the_app_id_is_refused_rather_than_dropped(garbage: str) -> None:
    with pytest.raises(MalformedAppHandleException):
        parse_app_handle("local://s/a1" + garbage)


@given(backends, st.text(printable), app_ids)
def test_parsing_is_the_inverse_of_making(backend: str, session: str, app_id: str) -> None:
    handle = make_app_handle(backend, session, app_id)
    assert parse_app_handle(handle) == (backend, session, app_id)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parts = parse_app_handle(text)
    except MalformedAppHandleException:
        return
    assert make_app_handle(*parts) == text


@pytest.mark.parametrize(
    "error",
    [
        MalformedAppHandleException("nonsense"),
        UnknownAppException("local://s/a1"),
        UnknownSchedulerException("slrum", ["slurm", "docker"]),
    ],
)
def test_errors_survive_pickling(error: TorchXError) -> None:
    loaded = pickle.loads(pickle.dumps(error))
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)
    assert loaded.hint == error.hint


def test_unknown_scheduler_suggests_the_closest_name() -> None:
    error = UnknownSchedulerException("slrum", ["slurm", "docker"])
    assert isinstance(error, KeyError)
    assert str(error).startswith("Scheduler backend: slrum does not exist")
    assert error.hint == "did you mean slurm? the schedulers are: slurm, docker"


def test_unknown_app_names_the_handle() -> None:
    assert "local://s/a1" in str(UnknownAppException("local://s/a1"))
