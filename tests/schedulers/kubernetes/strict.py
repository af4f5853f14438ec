"""Checks objects strictly, by the recorded schemas and an independent validator."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "torchx" / "schedulers" / "kubernetes" / "schema.json"
VOLCANO = ROOT / "tests" / "fixtures" / "kubernetes" / "volcano-job-schema.json"


def check_strictly(item: dict[str, Any]) -> None:
    kind = f"{item['apiVersion']} {item['kind']}"
    validator = _shipped(kind)
    errors = [*validator.iter_errors(item)]
    if "volcano" in kind:
        errors += _volcano().iter_errors(item)
    assert not errors, [f"{error.json_path}: {error.message}" for error in errors]


@functools.lru_cache
def _shipped(kind: str) -> jsonschema.Draft202012Validator:
    document = json.loads(SHIPPED.read_text())
    definitions = {name: _closed(schema) for name, schema in document["definitions"].items()}
    reference = f"#/$defs/{document['kinds'][kind]}"
    return jsonschema.Draft202012Validator({"$ref": reference, "$defs": definitions})


@functools.lru_cache
def _volcano() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_closed(json.loads(VOLCANO.read_text())))


def _closed(schema: Any) -> Any:
    """Refuses unknown fields, as a server with strict field validation does."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            closed[key] = {name: _closed(item) for name, item in value.items()}
        elif key == "$ref":
            closed[key] = f"#/$defs/{value}"
        else:
            closed[key] = _closed(value)
    if "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
