"""From a command line and configuration to the arguments that a component is called with."""

from __future__ import annotations

import argparse
import copy
import inspect
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from torchx.errors import TorchXError
from torchx.specs.argument_types import Choice
from torchx.specs.component_parser import ComponentParser
from torchx.specs.parameters import Component, ComponentParameter
from torchx.util.redact import is_secret_name

logger: logging.Logger = logging.getLogger(__name__)


class ComponentArgumentError(TorchXError, ValueError):
    """An argument of a component is unknown, or its value does not fit the annotation."""


class ComponentArgs(NamedTuple):
    """The decoded arguments of a component.

    Attributes:
        positional_args: Values by parameter name, in the order of the signature.
        var_args: What ``*args`` gets.
        kwargs: Values of the keyword-only parameters.
    """

    positional_args: dict[str, Any]
    var_args: list[str]
    kwargs: dict[str, Any]


def create_args_parser(
    cmpnt_fn: Component,
    cmpnt_defaults: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> ComponentParser:
    """Makes the parser of a component's command line.

    Args:
        cmpnt_fn: The component.
        cmpnt_defaults: Values that replace the defaults of the signature.
        config: Values of parameters that then need not be on the command line.

    Returns:
        The parser.
    """
    return ComponentParser(cmpnt_fn, cmpnt_defaults or {}, (config or {}).keys())


def parse_args(
    cmpnt_fn: Component,
    cmpnt_args: list[str],
    cmpnt_defaults: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> argparse.Namespace:
    """Parses a component's command line and fills in the other sources.

    The command line wins over ``config``, that over ``cmpnt_defaults``, and that over the defaults
    of the signature. A malformed command line ends the process with status 2.

    Args:
        cmpnt_fn: The component.
        cmpnt_args: The words of the command line.
        cmpnt_defaults: Configured defaults, as text; names that are no parameters are ignored.
        config: Typed values, as JSON has them.

    Returns:
        The values by parameter name; those of the command line are text, but for int and float.

    Raises:
        ComponentArgumentError: If ``config`` names no parameter or a value does not fit.
    """
    parser = create_args_parser(cmpnt_fn, cmpnt_defaults, config)
    return _parse(parser, cmpnt_args, cmpnt_defaults or {}, config or {})


def component_args_from_str(
    cmpnt_fn: Component,
    cmpnt_args: list[str],
    cmpnt_args_defaults: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> ComponentArgs:
    """Parses and decodes the arguments of a component.

    Args:
        cmpnt_fn: The component.
        cmpnt_args: The words of the command line.
        cmpnt_args_defaults: Configured defaults, see :py:func:`parse_args`.
        config: Typed values, see :py:func:`parse_args`.

    Returns:
        What to call the component with.

    Raises:
        ComponentArgumentError: If a value does not fit its annotation.
        TypeError: If the component takes ``**kwargs``.
    """
    defaults, typed = cmpnt_args_defaults or {}, config or {}
    parser = create_args_parser(cmpnt_fn, defaults, typed)
    namespace = _parse(parser, cmpnt_args, defaults, typed)
    named_somewhere = parser.given | defaults.keys() | typed.keys()
    result = ComponentArgs({}, [], {})
    for name, parameter in parser.parameters.items():
        value = getattr(namespace, name)
        if parameter.is_varargs:
            result.var_args.extend(_decoded(parameter, item) for item in value)
            continue
        is_named = name in named_somewhere
        decoded = _decoded(parameter, value) if is_named else _decoded_default(parameter)
        is_keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        (result.kwargs if is_keyword else result.positional_args)[name] = decoded
    return result


def _parse(
    parser: ComponentParser,
    cmpnt_args: list[str],
    defaults: Mapping[str, Any],
    config: Mapping[str, Any],
) -> argparse.Namespace:
    _warn_of_unknown(defaults, parser.parameters)
    namespace = argparse.Namespace()
    parser.parse_args(cmpnt_args, namespace)
    faults = _unknown_keys(config, parser.parameters)
    for name, parameter in parser.parameters.items():
        if name not in config or name in parser.given:
            continue
        try:
            setattr(namespace, name, _converted(parameter, config[name]))
        except ValueError as error:
            faults.append(_fault(parameter, error))
    if faults:
        raise ComponentArgumentError(
            f"component arguments of {parser.component_name}: {'; '.join(faults)}",
            hint="the component's --help shows its parameters",
        )
    return namespace


def _converted(parameter: ComponentParameter, value: Any) -> Any:
    if parameter.is_varargs:
        items = value.split() if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise ValueError(f"expected a list, not {value!r}")
        return [parameter.type.convert(one) if parameter.type else one for one in items]
    if value is None and parameter.default is None:
        return None
    return parameter.type.convert(value) if parameter.type is not None else value


def _decoded(parameter: ComponentParameter, value: Any) -> Any:
    # Only plain text is decoded: a member of a str enum is a value already.
    if type(value) is not str:
        return value
    if parameter.type is None:
        raise ComponentArgumentError(
            f"unsupported argument annotation `{parameter.annotation}` of parameter"
            f" {parameter.name!r}: {parameter.fault}",
            hint="use str, int, float, bool, list, dict, tuple, Literal, Enum or an optional",
        )
    try:
        return parameter.type.decode(value)
    except ValueError as error:
        raise ComponentArgumentError(
            f"argument {_fault(parameter, error)}",
            hint=f"expected {parameter.type.label}",
        ) from error


def _decoded_default(parameter: ComponentParameter) -> Any:
    default = parameter.default
    if type(default) is str and not isinstance(parameter.type, (Choice, type(None))):
        return _decoded(parameter, default)
    # A component may append to what it gets: the next call must not see that.
    return copy.deepcopy(default)


def _fault(parameter: ComponentParameter, error: ValueError) -> str:
    spelling = parameter.spellings[0] if parameter.spellings else parameter.name
    reason = "the value does not fit" if is_secret_name(parameter.name) else str(error)
    return f"{spelling}: {reason}"


def _unknown_keys(given: Mapping[str, Any], known: Mapping[str, object]) -> list[str]:
    unknown: list[str] = []
    for key in given:
        if key not in known:
            import difflib

            closest = difflib.get_close_matches(key, known, n=1)
            advice = f" (did you mean {closest[0]!r}?)" if closest else ""
            unknown.append(f"there is no parameter {key!r}{advice}")
    return unknown


def _warn_of_unknown(defaults: Mapping[str, Any], known: Mapping[str, object]) -> None:
    for fault in _unknown_keys(defaults, known):
        logger.warning("configured defaults of a component are ignored: %s", fault)
