"""Checks objects by the schema that comes with torchx: strictly, and without a cluster.

The schema is made from what a cluster serves by ``scripts/kubernetes-schema``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchx.util.strings import closest_match

Schema = Mapping[str, Any]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_DIGITS = re.compile(r"\d+")


def faults_of(objects: list[dict[str, Any]]) -> list[str]:
    """Finds what a cluster would not accept.

    Args:
        objects: Jobs, Services and Volcano Jobs, as they are sent.

    Returns:
        A sentence for each fault, without those that differ from another one in numbers only.
    """
    faults: dict[str, str] = {}
    for item in objects:
        for fault in _Check().object(item):
            faults.setdefault(_DIGITS.sub("0", fault), fault)
    return list(faults.values())


@functools.lru_cache
def _document() -> Mapping[str, Any]:
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


class _Check:
    """The check of one object."""

    def __init__(self) -> None:
        self._definitions: Mapping[str, Schema] = _document()["definitions"]
        self._seen: set[str] = set()

    def object(self, item: dict[str, Any]) -> Iterator[str]:
        kind = f"{item.get('apiVersion')} {item.get('kind')}"
        name = _document()["kinds"].get(kind)
        if name is None:
            yield f"`{kind}` is not known"
        else:
            yield from self._faults(item, self._definitions[name], item["kind"])

    def _faults(self, value: Any, schema: Schema, path: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"]]
        if "type" in schema and not _is_of_type(value, schema["type"]):
            yield f"{path} must be {_types(schema['type'])}, not {_shown(value)}"
        elif isinstance(value, dict):
            yield from self._faults_of_fields(value, schema, path)
        elif isinstance(value, list):
            yield from self._faults_of_items(value, schema, path)
        else:
            yield from _faults_of_scalar(value, schema, path)

    def _faults_of_fields(self, value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
        fields: Mapping[str, Schema] = schema.get("properties", {})
        others = schema.get("additionalProperties", not fields)
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{path} must have the field `{name}`"
        for name, item in value.items():
            if name in fields:
                yield from self._faults(item, fields[name], f"{path}.{name}")
            elif isinstance(others, dict):
                yield from self._faults(item, others, f"{path}.{name}")
            elif not others:
                closest = closest_match(name, fields)
                hint = f"; did you mean `{closest}`?" if closest else ""
                yield f"{path} has no field `{name}`{hint}"

    def _faults_of_items(self, value: list[Any], schema: Schema, path: str) -> Iterator[str]:
        if len(value) < schema.get("minItems", 0):
            yield f"{path} must have at least {schema['minItems']} items"
        for number, item in enumerate(value):
            # The replicas of a role are alike up to their numbers.
            key = f"{path} {_DIGITS.sub('0', json.dumps(item))}"
            if key not in self._seen:
                self._seen.add(key)
                yield from self._faults(item, schema.get("items", {}), f"{path}[{number}]")


def _faults_of_scalar(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} must be one of {', '.join(schema['enum'])}, not {_shown(value)}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{path} must match {schema['pattern']}, not {_shown(value)}"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{path} must not be so long or short: {_shown(value)}"
    elif isinstance(value, (int, float)) and value < schema.get("minimum", value):
        yield f"{path} must be at least {schema['minimum']}, not {value}"


def _is_of_type(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)


def _types(types: str | list[str]) -> str:
    return types if isinstance(types, str) else " or ".join(types)


def _shown(value: object) -> str:
    from torchx.util.redact import redact_text

    text = redact_text(repr(value))
    return text if len(text) <= 80 else f"{text[:80]}..."
