from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.docker.names import app_id_stem, container_name, role_parts

LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

roles = st.lists(
    st.tuples(st.text(min_size=1), st.integers(1, 100_000)),
    min_size=1,
    max_size=8,
    unique_by=lambda role: role[0],
)


def names(app_id: str, roles: list[tuple[str, int]]) -> list[str]:
    return [
        container_name(app_id, part, replica_id)
        for part, (_, size) in zip(role_parts(app_id, roles), roles, strict=True)
        for replica_id in {0, size - 1}
    ]


def test_names_tell_app_role_and_replica() -> None:
    assert names("app_name_42", [("trainer", 1)]) == ["app_name_42-trainer-0"]


def test_long_names_keep_their_ends_that_differ() -> None:
    app_id = "a-very-long-name-of-an-application-x1y2z3"
    assert names(app_id, [("a-very-long-name-of-a-role-with-more", 1)]) == [
        "-name-of-an-application-x1y2z3-a-very-long-name-of-a-role-wit-0".lstrip("-")
    ]


def test_roles_that_begin_alike_have_different_names() -> None:
    alike = "the-same-thirty-characters-and-"
    assert len(set(names("app", [(f"{alike}{number}", 1) for number in range(5)]))) == 5


@given(app=st.text(), roles=roles)
def test_names_are_legal_and_different(app: str, roles: list[tuple[str, int]]) -> None:
    made = names(f"{app_id_stem(app)}-x1y2z3", roles)
    assert all(LEGAL.fullmatch(name) for name in made), made
    assert len(set(made)) == len(made)


@given(app=st.text())
def test_ids_of_apps_can_stand_in_handles_and_names(app: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,154}", app_id_stem(app))
