from __future__ import annotations

import copy
import logging
from pathlib import Path

import pytest

from torchx.runner import Runner, get_runner
from torchx.runner.events import _get_or_create_logger
from torchx.runner.validate import InvalidAppError
from torchx.specs import AppDef, Resource, Role
from torchx.util.redact import REDACTED, redact_text

SECRETS = {"PLAIN": "pa$$word ${app_id} $replica_id", "SHORT": "ab1", "SET": "from-outside"}


def app() -> AppDef:
    role = Role(
        "r",
        "/",
        entrypoint="echo",
        args=["hi"],
        env={"SET": "from-the-role"},
        resource=Resource(1, 0, 1),
        metadata={"note": "use from-outside"},
    )
    return AppDef("app", [role], metadata={"note": "use from-outside"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path))


def test_the_replicas_get_the_values_as_they_are_and_nobody_is_shown_them() -> None:
    given = app()
    with get_runner() as runner:
        info = runner.dryrun(given, "local_cwd", secret_env=SECRETS)
    (replica,) = info.request.role_params["r"]
    assert {name: replica.env[name] for name in SECRETS} == SECRETS
    assert given == app()
    for value in SECRETS.values():
        assert value not in str(info)
    assert str(info).count(REDACTED) == len(SECRETS)
    assert info.app is not None
    assert copy.deepcopy(info.app) == info.app


def test_a_role_with_variables_that_are_no_text_is_refused_without_showing_them() -> None:
    wrong: dict[str, str] = {"PIN": 123456}  # type: ignore[dict-item] # what callers may do
    with get_runner() as runner, pytest.raises(InvalidAppError, match=r"env\[PIN\]: int") as info:
        runner.dryrun(app(), "local_cwd", secret_env=wrong)
    assert "123456" not in str(info.value)


def test_components_and_apps_get_them_in_the_same_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = 'printf %s "$PLAIN" | wc -c'
    with get_runner() as runner:
        info = runner.dryrun_component(
            "utils.sh", [script], "local_cwd", secret_env={"PLAIN": "a-secret"}
        )
        assert "a-secret" not in str(info)
        handle = runner.run_component(
            "utils.sh", [script], "local_cwd", secret_env={"PLAIN": "a-secret"}
        )
        runner.wait(handle)
        assert [line.strip() for line in runner.log_lines(handle, "sh")] == ["8"]
        own = runner.run(app(), "local_cwd", secret_env={"PLAIN": "a-secret"})
        runner.wait(own)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [content for content in written if b"a-secret" in content]


def test_events_do_not_tell_them() -> None:
    told: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    collector = Collector()
    _get_or_create_logger().addHandler(collector)
    try:
        with get_runner() as runner:
            runner.dryrun(app(), "local_cwd", secret_env=SECRETS)
            with pytest.raises(ValueError, match="from-outside"):
                runner.dryrun(AppDef("from-outside"), "local_cwd")
    finally:
        _get_or_create_logger().removeHandler(collector)
    assert told
    assert not [text for text in told if "from-outside" in text]


def test_what_a_component_calls_a_secret_is_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torchx.specs as specs\n"
        "def app(api_token: str, password: str) -> specs.AppDef:\n"
        '    """Does nothing."""\n'
        "    role = specs.Role('r', '/', entrypoint='echo', args=[api_token, 'as', password])\n"
        "    return specs.AppDef('app', [role])\n"
    )
    component = f"{tmp_path}/mine.py:app"
    defaults = {component: {"password": "by-default"}}
    with Runner("test", component_defaults=defaults) as runner:
        info = runner.dryrun_component(component, ["--api_token", "by-word"], "local_cwd")
        assert redact_text("by-word by-default") == f"{REDACTED} {REDACTED}"
        assert "by-" not in str(info)
        runner.dryrun_component(component, {"api_token": "by-value"}, "local_cwd")
    assert redact_text("by-value") == REDACTED
