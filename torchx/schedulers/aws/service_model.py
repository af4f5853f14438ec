"""Checks requests against the service model that ships with ``botocore``, without calling AWS.

Stricter than the check of the SDK, which looks neither at patterns nor at the values of enums nor
at upper limits. Needs no credentials, no region and no network.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.aws.errors import AwsPackageMissing
from torchx.util.redact import is_secret_name, redact_text

log: logging.Logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 80

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "blob": (bytes, bytearray, str),
    "timestamp": (datetime, str, int, float),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}


class AwsRequestError(TorchXError, ValueError):
    """A request does not fit the service model, so that AWS would refuse it.

    Args:
        operation: Name of the operation.
        faults: What is wrong, each with its place in the request.

    Attributes:
        faults: See above.
    """

    def __init__(self, operation: str, faults: list[str]) -> None:
        super().__init__(
            f"AWS would refuse this {operation}: {'; '.join(faults)}",
            hint="change the app or the run options that these values come from",
        )
        self._operation = operation
        self.faults = faults

    def __reduce__(self) -> tuple[type[AwsRequestError], tuple[str, list[str]]]:
        return type(self), (self._operation, self.faults)


def check_request(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """Checks a request against the service model.

    Args:
        service: Name of the service, for example ``batch``.
        operation: Name of the operation, for example ``SubmitJob``.
        request: Its arguments.

    Raises:
        AwsRequestError: AWS would refuse the request; names all faults.
        AwsPackageMissing: The Python package ``boto3`` is not installed.
    """
    if faults := find_faults(service, operation, request):
        raise AwsRequestError(operation, faults)


def check_request_if_possible(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """Checks a request, unless the SDK is not installed: a dry run does without.

    Args:
        service: Name of the service.
        operation: Name of the operation.
        request: Its arguments.

    Raises:
        AwsRequestError: AWS would refuse the request; names all faults.
    """
    if importlib.util.find_spec("botocore") is None:
        log.info("boto3 is not installed: the %s request is not checked", operation)
        return
    check_request(service, operation, request)


def find_faults(service: str, operation: str, request: Mapping[str, Any]) -> list[str]:
    """Finds what is wrong with a request.

    Args:
        service: Name of the service.
        operation: Name of the operation.
        request: Its arguments.

    Returns:
        One text for each fault, with its place; empty if the request is right.

    Raises:
        AwsPackageMissing: The Python package ``boto3`` is not installed.
    """
    shape = _service(service).operation_model(operation).input_shape
    return list(_faults(shape, dict(request), "", False))


@functools.lru_cache
def _service(name: str) -> Any:
    try:
        from botocore.loaders import create_loader
        from botocore.model import ServiceModel
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] != "botocore":
            raise
        raise AwsPackageMissing from error
    return ServiceModel(create_loader().load_service_model(name, "service-2"), name)


def _faults(shape: Any, value: Any, place: str, is_secret: bool) -> Iterator[str]:
    expected = _PYTHON_TYPES[shape.type_name]
    is_stray_bool = isinstance(value, bool) and bool not in expected
    if not isinstance(value, expected) or is_stray_bool:
        yield (
            f"{place or 'the request'} is {_shown(value, is_secret)} of type"
            f" {type(value).__name__}, must be of type {shape.type_name}"
        )
        return
    yield from _CHECKS.get(shape.type_name, _scalar_faults)(shape, value, place, is_secret)


def _structure_faults(
    shape: Any, value: dict[str, Any], place: str, is_secret: bool
) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield f"{_inside(place, name)} is missing"
    # Of a pair, the name tells whether the value is secret.
    names_secret = is_secret_name(str(value.get("name", value.get("Name", ""))))
    for name, item in value.items():
        if name not in shape.members:
            known = ", ".join(shape.members)
            yield f"{_inside(place, name)} is unknown; known are {known}"
            continue
        hides = is_secret or is_secret_name(name) or (names_secret and name.lower() == "value")
        yield from _faults(shape.members[name], item, _inside(place, name), hides)
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"{place} must have exactly one of {', '.join(shape.members)}"


def _list_faults(shape: Any, value: list[Any], place: str, is_secret: bool) -> Iterator[str]:
    yield from _range_faults(shape, len(value), place, "items")
    for index, item in enumerate(value):
        yield from _faults(shape.member, item, f"{place}[{index}]", is_secret)


def _map_faults(shape: Any, value: dict[Any, Any], place: str, is_secret: bool) -> Iterator[str]:
    yield from _range_faults(shape, len(value), place, "entries")
    for key, item in value.items():
        yield from _faults(shape.key, key, f"the key {key!r} of {place}", False)
        hides = is_secret or is_secret_name(str(key))
        yield from _faults(shape.value, item, f"{place}[{key!r}]", hides)


def _string_faults(shape: Any, value: str, place: str, is_secret: bool) -> Iterator[str]:
    yield from _range_faults(shape, len(value), place, "characters")
    if shape.enum and value not in shape.enum:
        yield f"{place} is {_shown(value, is_secret)}, must be one of {', '.join(shape.enum)}"
    pattern = _pattern(shape.metadata.get("pattern"))
    if pattern is not None and pattern.fullmatch(value) is None:
        yield f"{place} is {_shown(value, is_secret)}, must match {pattern.pattern}"


def _number_faults(shape: Any, value: float, place: str, is_secret: bool) -> Iterator[str]:
    yield from _range_faults(shape, value, place, "")


def _scalar_faults(shape: Any, value: Any, place: str, is_secret: bool) -> Iterator[str]:
    return iter(())


_CHECKS: Mapping[str, Callable[[Any, Any, str, bool], Iterator[str]]] = {
    "structure": _structure_faults,
    "list": _list_faults,
    "map": _map_faults,
    "string": _string_faults,
    "integer": _number_faults,
    "long": _number_faults,
    "float": _number_faults,
    "double": _number_faults,
}


def _range_faults(shape: Any, size: float, place: str, unit: str) -> Iterator[str]:
    verb, limit = ("has", "have") if unit else ("is", "be")
    counted = f"{place} {verb} {size} {unit}".rstrip()
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{counted}, must {limit} at least {least}"
    if most is not None and size > most:
        yield f"{counted}, must {limit} at most {most}"


@functools.lru_cache
def _pattern(text: str | None) -> re.Pattern[str] | None:
    """Compiles a pattern, if it is one that Python understands: they are written for Java."""
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error:
        log.debug("the pattern %r of a service model is not checked", text)
        return None


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else str(name)


def _shown(value: Any, is_secret: bool) -> str:
    if is_secret:
        return "(hidden)"
    text = redact_text(repr(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
