"""The example package, installed by pip into a fresh environment and used through ``torchx``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]

BROKEN = {
    "torchx_plugins/schedulers/raises.py": "raise RuntimeError('no GPU')\n",
    "torchx_plugins/schedulers/exits.py": "import sys\nsys.exit('no licence')\n",
    "torchx_plugins/schedulers/hangs.py": "import threading\nthreading.Event().wait()\n",
    "torchx_plugins/schedulers/nonsense.py": (
        "from torchx.plugins import register\nregister('nonsense')\n"
    ),
    "torchx_plugins/schedulers/again.py": (
        "from torchx.plugins import register\n"
        "@register.scheduler()\ndef example(session_name, **kwargs): ...\n"
    ),
    "broken_plugins.py": "import sys\nsys.exit('no licence')\n",
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "torchx-broken-plugins"
version = "0.1"

[project.entry-points."torchx.schedulers"]
absent = "broken_plugins_absent:create"
exits_too = "broken_plugins:create"

[project.entry-points."torchx.cli.cmds"]
leave = "broken_plugins:Leave"
number = "os:sep"

[tool.setuptools]
py-modules = ["broken_plugins"]

[tool.setuptools.packages.find]
namespaces = true
include = ["torchx_plugins*"]
""",
}


def pip_install(python: Path, *words: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, *offline, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with torchx and the example, and what they need borrowed from ours."""
    base = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base / "env"], check=True)
    python = base / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    # Copies, since building writes into the source.
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("torchx", "examples/plugin_package"):
        shutil.copytree(ROOT / name, base / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, base)
    pip_install(python, str(base), str(base / "examples" / "plugin_package"))
    return python


@pytest.fixture
def run(python: Path, tmp_path: Path) -> Run:
    """Runs a program of the environment."""

    def run_one(
        *words: str, program: str = "torchx", **env: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORCHX")}
        home = {"HOME": str(tmp_path), "TORCHX_HOME": str(tmp_path / "torchx")}
        return subprocess.run(
            [str(python.parent / program), *words],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**kept, **home, **env},
            check=False,
        )

    return run_one


def plugins_of(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (each["type"], each["name"]): f"{each['distribution']} {each['version']} {each['style']}"
        for each in report["plugins"]
        if each["distribution"] != "torchx"
    }


@pytest.mark.parametrize(
    ("scheduler", "resource"), [("example", "example.box"), ("example_too", "example_box_8")]
)
def test_a_component_runs_on_the_scheduler(scheduler: str, resource: str, run: Run) -> None:
    words = ["example.greet", "--name", "Ada Lovelace", "--h", resource]
    launched = run("run", "-s", scheduler, "-cfg", "greeting=welcome", *words)
    assert launched.returncode == 0, launched.stderr
    handle = launched.stdout.strip()
    assert handle.startswith(f"{scheduler}://torchx/greet-")
    app_id = handle.rpartition("/")[2]
    assert "SUCCEEDED" in run("status", handle).stdout
    logged = run("log", "--no-prefix", handle).stdout
    assert logged == f"welcome\nhello Ada Lovelace from {app_id}\n"
    assert handle in run("list", "-s", scheduler).stdout
    assert "greeting" in run("runopts", scheduler).stdout


@pytest.mark.parametrize(
    ("name", "memory_mib"),
    [
        ("example.box", 32768),
        ("example_box", 32768),
        ("example_desk", 32768),
        ("example_box_8", 8192),
    ],
)
def test_the_named_resource_is_known(name: str, memory_mib: int, run: Run) -> None:
    code = f"from torchx.specs import resource; print(resource(h={name!r}).memMB)"
    assert run("-c", code, program="python").stdout == f"{memory_mib}\n"
    shown = run("run", "-s", "local_cwd", "--dryrun", "utils.sh", "--h", name, "true")
    assert f"'memMB': {memory_mib}" in shown.stdout


def test_the_component_and_the_command_are_listed_and_the_command_runs(run: Run) -> None:
    assert "example.greet" in run("builtins").stdout
    assert "greet" in run("--help").stdout
    assert run("greet", "Ada").stdout == "hello Ada\n"


@pytest.mark.parametrize("name", ["example", "example_too"])
def test_the_tracker_is_made_from_its_configuration(name: str, run: Run, tmp_path: Path) -> None:
    code = (
        "import sys; from torchx.plugins import PluginType, registry\n"
        f"tracker = registry().get(PluginType.TRACKER)[{name!r}](sys.argv[1])\n"
        "tracker.add_metadata('run-1', lr=0.5)\n"
        "print(tracker.run_ids(), tracker.metadata('run-1'))\n"
    )
    done = run("-c", code, str(tmp_path / "runs"), program="python")
    assert done.stdout == "['run-1'] {'lr': 0.5}\n", done.stderr


def test_all_plugins_are_shown_with_their_origin(run: Run) -> None:
    shown = run("plugins", "--json")
    assert shown.stderr == ""
    report = json.loads(shown.stdout)
    ours = "torchx-example-plugins 1.0"
    by_decorator = {
        ("scheduler", "example_too"): f"{ours} torchx_plugins",
        ("named_resource", "example_box"): f"{ours} torchx_plugins",
        ("tracker", "example_too"): f"{ours} torchx_plugins",
    }
    by_entry_point = {
        ("scheduler", "example"): f"{ours} entry point",
        ("named_resource", "example.box"): f"{ours} entry point",
        ("tracker", "example"): f"{ours} entry point",
    }
    always = {
        ("component", "example"): f"{ours} entry point",
        ("command", "greet"): f"{ours} entry point",
    }
    assert plugins_of(report) == {**by_decorator, **by_entry_point, **always}
    assert (report["failures"], report["collisions"]) == ([], [])
    for source, expected in (("1", by_decorator), ("2", by_entry_point), ("0", {})):
        shown = run("plugins", "--json", TORCHX_PLUGINS_SOURCE=source)
        assert plugins_of(json.loads(shown.stdout)) == {**expected, **always}
    assert "torchx-example-plugins 1.0" in run("plugins").stdout


def test_broken_plugins_beside_it_are_reported_and_skipped(
    run: Run, python: Path, tmp_path: Path
) -> None:
    for path, text in BROKEN.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_text(text)
    broken = tmp_path / "broken"
    pip_install(python, "--target", str(broken), str(tmp_path / "source"))
    env = {"PYTHONPATH": str(broken), "TORCHX_PLUGINS_TIMEOUT_S": "10"}

    report = json.loads(run("plugins", "--json", **env).stdout)
    assert ("scheduler", "example") in plugins_of(report)
    errors = {
        each["name"] or each["module"].rpartition(".")[2]: each["error"]
        for each in report["failures"]
    }
    assert {each["distribution"] for each in report["failures"]} == {"torchx-broken-plugins"}
    assert errors.keys() == {
        *("raises", "exits", "hangs", "nonsense"),
        *("absent", "exits_too", "leave", "number"),
    }
    assert errors["raises"] == "RuntimeError: no GPU"
    assert "SystemExit: no licence" in errors["exits"]
    assert "took longer than 10 s" in errors["hangs"]
    assert "'nonsense' is not a valid PluginType" in errors["nonsense"]
    assert "No module named 'broken_plugins_absent'" in errors["absent"]
    (clash,) = report["collisions"]
    assert clash["winner"]["distribution"] == "torchx-example-plugins"
    assert clash["loser"]["distribution"] == "torchx-broken-plugins"

    # Seen to be given up once; this saves the time of doing it again.
    (broken / "torchx_plugins" / "schedulers" / "hangs.py").unlink()
    launched = run("run", "-s", "example", "utils.echo", "--msg", "x", **env)
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.startswith("example://torchx/echo-")
    assert "no GPU" in launched.stderr
    assert run("--version", **env).returncode == run("greet", "Ada", **env).returncode == 0
    assert "leave" in run("--help", **env).stdout
