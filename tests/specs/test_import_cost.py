from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torchx

ROOT = Path(torchx.__file__).parent.parent


def modules_loaded_by(statement: str) -> set[str]:
    program = f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-S", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    loaded: set[str] = set(json.loads(shown))
    return loaded


def test_importing_specs_loads_nothing_that_only_some_programs_need() -> None:
    loaded = modules_loaded_by("import torchx.specs")
    heavy = {
        "argparse",
        "asyncio",
        "docstring_parser",
        "fsspec",
        "importlib.metadata",
        "logging",
        "pathlib",
        "yaml",
        "torchx.specs.builders",
        "torchx.specs.finder",
        "torchx.specs.named_resources_aws",
        "torchx.specs.named_resources_generic",
        "torchx.specs.overlays",
        "torchx.specs.status_format",
    }
    assert loaded & heavy == set()
    assert not [name for name in loaded if name.startswith("torchx_plugins")]


def test_importing_specs_adds_hardly_anything_to_dataclasses() -> None:
    loaded = modules_loaded_by("import torchx.specs") - modules_loaded_by("import dataclasses")
    outside = {name.split(".")[0] for name in loaded if not name.startswith(("torchx", "_"))}
    assert outside <= {"contextlib", "contextvars", "threading", "typing", "warnings"}


def test_specs_imports_no_layer_above_it() -> None:
    loaded = modules_loaded_by("import torchx.specs, torchx.specs.overlays")
    layers = {name.split(".")[1] for name in loaded if name.startswith("torchx.")}
    assert layers <= {"specs", "errors", "util"}
