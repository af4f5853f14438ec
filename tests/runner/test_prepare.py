from __future__ import annotations

import copy
import threading
from pathlib import Path

import pytest

from torchx.runner.prepare import (
    copy_app,
    inject_env,
    override_workspace,
    warn_of_unused_workspace,
)
from torchx.specs import AppDef, Role, Workspace


def test_a_copy_shares_nothing_but_the_overrides(app: AppDef) -> None:
    lazy = {"image": threading.Lock().locked, "name": lambda: "lazy"}
    app.roles.append(Role(name="second", image="", overrides=lazy))
    copied = copy_app(app)
    assert copied.roles[1].overrides is lazy
    copied.metadata["team"] = "other"
    copied.roles[0].env["LEVEL"] = "2"
    copied.roles[0].args.append("more")
    assert app.metadata == {"team": "ml"}
    assert app.roles[0].env == {"LEVEL": "1"}
    assert app.roles[0].args == ["-m", "main"]


def test_a_failed_copy_leaves_the_overrides_in_place(app: AppDef) -> None:
    lazy = {"image": lambda: "lazy"}
    app.roles[0].overrides = lazy
    app.roles[0].metadata["lock"] = threading.Lock()
    with pytest.raises(TypeError):
        copy_app(app)
    assert app.roles[0].overrides is lazy


def test_trackers_reach_every_role_with_configuration_and_factory(
    app: AppDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".torchxconfig").write_text(
        "[torchx:tracker]\nt1 = ignored\nmy-t = pkg.mod:create\nunused = pkg:other\n"
    )
    monkeypatch.setenv("TORCHXCONFIG", str(tmp_path / ".torchxconfig"))
    inject_env(app, "s", "session", {"t1": "c1", "my-t": None, "t3": ""}, "parent")
    env = {name: value for name, value in app.roles[0].env.items() if "TRACKER" in name}
    assert env == {
        "TORCHX_TRACKERS": "t1,my-t,t3",
        "TORCHX_TRACKER_T1_CONFIG": "c1",
        "TORCHX_TRACKER_MY_T_FACTORY": "pkg.mod:create",
    }
    assert app.roles[0].env["TORCHX_PARENT_RUN_ID"] == "parent"


def test_a_lazy_env_is_not_changed_for_the_caller(app: AppDef) -> None:
    env = {"LAZY": "1"}
    app.roles[0].overrides = {"env": lambda: env}
    copied = copy_app(app)
    inject_env(copied, "s", "session", {}, None)
    assert env == {"LAZY": "1"}
    assert copied.roles[0].env["LAZY"] == "1"
    assert copied.roles[0].env["TORCHX_JOB_ID"] == "s://session/${app_id}"


def test_a_replaced_variable_is_told_without_its_value(
    app: AppDef, caplog: pytest.LogCaptureFixture
) -> None:
    app.roles[0].env["TORCHX_JOB_ID"] = "mine"
    inject_env(app, "s", "session", {}, None)
    assert "role `trainer`: its values of TORCHX_JOB_ID are replaced" in caplog.text
    assert "mine" not in caplog.text


def test_nothing_is_told_when_nothing_is_replaced(
    app: AppDef, caplog: pytest.LogCaptureFixture
) -> None:
    inject_env(app, "s", "session", {}, None)
    before = copy.deepcopy(app)
    inject_env(app, "s", "session", {}, None)
    assert app == before
    assert caplog.text == ""


def test_a_workspace_replaces_that_of_the_first_role(
    app: AppDef, caplog: pytest.LogCaptureFixture
) -> None:
    app.roles[0].workspace = Workspace({"/old": ""})
    app.roles.append(Role(name="last", image="", workspace=Workspace({"/own": ""})))
    with caplog.at_level("INFO"):
        override_workspace(app, "/new")
    assert [role.workspace for role in app.roles] == [
        Workspace({"/new": ""}),
        Workspace({"/own": ""}),
    ]
    assert "role `trainer`: workspace /old is replaced by /new" in caplog.text


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_the_working_directory_goes_unused_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    warn_of_unused_workspace("s", form.format(tmp_path))
    assert caplog.text == ""
    warn_of_unused_workspace("s", form.format("/elsewhere"))
    assert "scheduler `s` builds no workspaces" in caplog.text
