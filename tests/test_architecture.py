"""Holds the code to the layers and sizes that docs/architecture.md describes, by reading it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "torchx"

LAYERS: list[set[str]] = [
    {"settings", "errors", "version", "deprecations", "util"},
    {"specs"},
    {"plugins"},
    {"schedulers", "workspace"},
    {"components", "tracker", "runtime", "apps", "distributed", "examples", "notebook"},
    {"runner"},
    {"cli"},
    {"testing", "test"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Older import paths that only re-export from, or are typed against, a layer above their own.
UPWARD_ALLOWED = {
    ("torchx.util.log_tee_helpers", "torchx.runner"),
    ("torchx.components.component_test_base", "torchx.runner"),
    ("torchx.components.integration_tests.integ_tests", "torchx.runner"),
    # Scripts that launch jobs.
    ("torchx.examples.digits.pipeline", "torchx.runner"),
    ("torchx.examples.digits.sweep", "torchx.runner"),
}
# What several back ends consist of: the pods and the API server are the same.
SHARED_PARTS = {("kubernetes_mcad", "torchx.schedulers.kubernetes.")}
STDLIB_ONLY_AT_IMPORT = {"torchx.specs", "torchx.util", "torchx.errors", "torchx.settings"}
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
DATA_TABLES = {"torchx.specs.named_resources_aws"}


class Import(NamedTuple):
    importer: str
    target: str
    at_import_time: bool
    line: int


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(module: str, path: Path) -> Iterator[Import]:
    stack: list[tuple[ast.AST, bool]] = [(parse(path), True)]
    while stack:
        node, at_import_time = stack.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, at_import_time, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            for alias in node.names:
                yield Import(module, f"{base}.{alias.name}", at_import_time, node.lineno)
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            if not _is_type_checking(child):
                stack.append((child, at_import_time and not inner))


ALL_IMPORTS = [found for name, path in modules() for found in imports_of(name, path)]


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def is_ours(target: str) -> bool:
    return target == "torchx" or target.startswith("torchx.")


def test_every_package_has_a_layer() -> None:
    assert {layer(name) for name, _ in modules()} - {""} <= RANK.keys()


def test_imports_point_downwards() -> None:
    upward = [
        f"{found.importer}:{found.line} imports {found.target}"
        for found in ALL_IMPORTS
        if is_ours(found.target)
        and layer(found.importer)
        and RANK.get(layer(found.target), 0) > RANK[layer(found.importer)]
        and (found.at_import_time or RANK[layer(found.importer)] != RANK["specs"])
        and not any(
            found.importer == importer and found.target.startswith(target)
            for importer, target in UPWARD_ALLOWED
        )
    ]
    assert upward == []


def test_a_scheduler_knows_no_other_scheduler() -> None:
    def backend(module: str) -> str | None:
        found = re.match(r"torchx\.schedulers\.(\w+?)(?:_scheduler)?(?:\.|$)", module)
        return found[1] if found else None

    names = {
        backend(name)
        for name, path in modules()
        if name.startswith("torchx.schedulers.") and path.stem.endswith("_scheduler")
    }
    crossing = [
        f"{found.importer}:{found.line} imports {found.target}"
        for found in ALL_IMPORTS
        if backend(found.importer) in names
        and backend(found.target) in names - {backend(found.importer)}
        and not any(
            backend(found.importer) == name and found.target.startswith(shared)
            for name, shared in SHARED_PARTS
        )
    ]
    assert crossing == []


def test_the_job_model_needs_only_the_standard_library_to_be_imported() -> None:
    foreign = [
        f"{found.importer}:{found.line} imports {found.target}"
        for found in ALL_IMPORTS
        if any(
            found.importer == name or found.importer.startswith(name + ".")
            for name in STDLIB_ONLY_AT_IMPORT
        )
        and found.at_import_time
        and not is_ours(found.target)
        and found.target.split(".")[0] not in sys.stdlib_module_names
    ]
    assert foreign == []


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: str(value))
def test_files_and_functions_stay_small(name: str, path: Path) -> None:
    if name in DATA_TABLES:
        return
    text = path.read_text(encoding="utf-8")
    too_long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(parse(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert text.count("\n") <= MAX_FILE_LINES
    assert too_long == []


def test_no_work_is_left_as_a_note() -> None:
    note = re.compile(r"#\s+(TODO|FIXME|XXX|HACK)\b")
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("torchx", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if note.search(line)
    ]
    assert left == []
