"""utils.hydra with real configs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hydra")

from hydra.core.global_hydra import GlobalHydra

from torchx import specs
from torchx.components.utils import hydra

ROLE = """
_target_: torchx.specs.Role
name: worker
image: img
entrypoint: python
args: [-m, train, "--id=${torchx.app_id:}", "${torchx.replica_id:}"]
env:
  HOST_VAR: ${torchx.rank0_env:}
  ROOT: ${torchx.img_root:}/bin
  NAME: ${oc.env:WHO}
metadata: {nested: {list: ["x-${torchx.app_id:}-y"]}}
resource: {_target_: torchx.specs.Resource, cpu: 1, gpu: 0, memMB: 10}
"""
JOB = """
defaults: [_self_, {role: python}]
app:
  _target_: torchx.specs.AppDef
  name: job
  roles: ["${role}", {_target_: torchx.specs.Role, name: second, image: img2}]
"""


@pytest.fixture
def config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "a'; echo foo" / ".torchx"
    (directory / "role").mkdir(parents=True)
    (directory / "role" / "python.yaml").write_text(ROLE)
    (directory / "role" / "other.yaml").write_text(ROLE.replace("worker", "other"))
    (directory / "job.yaml").write_text(JOB)
    monkeypatch.chdir(directory.parent)
    monkeypatch.setenv("WHO", "me")
    return directory


@pytest.mark.usefixtures("config_dir")
def test_config_makes_a_job_of_plain_values() -> None:
    app = hydra(config_name="job")
    role = app.roles[0]
    assert isinstance(app, specs.AppDef)
    assert [one.name for one in app.roles] == ["worker", "second"]
    assert role.resource == specs.Resource(cpu=1, gpu=0, memMB=10)
    assert (type(role.args), type(role.env)) == (list, dict)
    assert role.env["NAME"] == "me"


@pytest.mark.usefixtures("config_dir")
def test_macros_survive_and_are_replaced_at_submit_time() -> None:
    role = hydra(config_name="job").roles[0]
    assert role.args[2:] == ["--id=${app_id}", "${replica_id}"]
    values = specs.macros.Values(img_root="/r", app_id="a1", replica_id="2", rank0_env="H0")
    replaced = values.apply(role)
    assert replaced.args[2:] == ["--id=a1", "2"]
    assert replaced.env == {"HOST_VAR": "H0", "ROOT": "/r/bin", "NAME": "me"}
    assert replaced.metadata == {"nested": {"list": ["x-a1-y"]}}


@pytest.mark.usefixtures("config_dir")
def test_overrides_change_values_and_groups() -> None:
    app = hydra("role=other", "+role.num_replicas=3", config_name="job")
    assert (app.roles[0].name, app.roles[0].num_replicas) == ("other", 3)


def test_absolute_directory(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert hydra(config_name="job", config_dir=str(config_dir)).name == "job"


@pytest.mark.usefixtures("config_dir")
def test_calls_leave_no_global_state_behind() -> None:
    for _ in range(2):
        hydra(config_name="job")
        assert not GlobalHydra.instance().is_initialized()
    with pytest.raises(Exception, match="no_such"):
        hydra(config_name="no_such")
    assert not GlobalHydra.instance().is_initialized()


def test_config_without_a_job_says_what_is_missing(config_dir: Path) -> None:
    (config_dir / "empty.yaml").write_text("x: 1\n")
    (config_dir / "wrong.yaml").write_text("app: {_target_: builtins.dict, x: 1}\n")
    with pytest.raises(ValueError, match=r"'empty'.* has no key 'app'"):
        hydra(config_name="empty")
    with pytest.raises(ValueError, match="makes a dict, not an AppDef"):
        hydra(config_name="wrong")


def test_debug_output_goes_to_stderr_without_secrets(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHX_DEBUG", "1")
    (config_dir / "secret.yaml").write_text(JOB + "api_token: hunter2\n")
    hydra(config_name="secret")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("=" * 80)
    assert "${torchx.app_id:}" in err
    assert "hunter2" not in err


def test_missing_package_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['hydra'] = None\n"
        "from torchx.components.utils import hydra\n"
        "try: hydra(config_name='job')\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "utils.hydra needs hydra-core: pip install 'torchx[hydra]'\n"
