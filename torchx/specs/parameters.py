"""The parameters of a component function, with their annotations resolved."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from torchx.specs.annotations import UnsupportedAnnotation, type_from_hint
from torchx.specs.argument_types import ArgumentType
from torchx.util.records import record

Component = Callable[..., Any]
"""A component function."""


@record
class ComponentParameter:
    """One parameter of a component.

    Attributes:
        name: Its name.
        kind: ``inspect.Parameter.POSITIONAL_ONLY`` and so on.
        default: The default of the signature, ``inspect.Parameter.empty`` if there is none.
        annotation: The resolved annotation, without ``Annotated``.
        spellings: Options that set it, the canonical ``--NAME`` first; none for ``*args``.
        type: How its values are read, None if no text can be decoded into its annotation.
        fault: Why not, else ``""``.
    """

    name: str
    kind: Any
    default: object
    annotation: object
    spellings: tuple[str, ...]
    type: ArgumentType | None
    fault: str = ""

    @property
    def is_varargs(self) -> bool:
        """True for ``*args``."""
        return self.kind is inspect.Parameter.VAR_POSITIONAL

    @property
    def has_default(self) -> bool:
        """True if the signature has a default."""
        return self.default is not inspect.Parameter.empty


def component_parameters(fn: Component) -> dict[str, ComponentParameter]:
    """Reads the signature of a component.

    Args:
        fn: The component, decorated or not.

    Returns:
        Its parameters by name, in the order of the signature.

    Raises:
        TypeError: If it takes ``**kwargs``, for which the command line has no spelling.
    """
    hints = _resolved_hints(fn)
    parameters: dict[str, ComponentParameter] = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            raise TypeError(
                f"component {fn.__name__} takes variable keyword arguments (**{name}):"
                " use a dict or explicit parameters instead"
            )
        parameters[name] = _component_parameter(parameter, hints[name])
    return parameters


def _component_parameter(parameter: inspect.Parameter, hint: object) -> ComponentParameter:
    metadata: tuple[object, ...] = ()
    bare = hint
    while typing.get_origin(bare) is Annotated:
        bare, *extra = typing.get_args(bare)
        metadata += tuple(extra)
    argument_type: ArgumentType | None = None
    fault = ""
    try:
        argument_type = _type_of(hint)
    except UnsupportedAnnotation as error:
        fault = str(error)
    spellings = _spellings(parameter.name, metadata)
    return ComponentParameter(
        name=parameter.name,
        kind=parameter.kind,
        default=parameter.default,
        annotation=bare,
        spellings=() if parameter.kind is inspect.Parameter.VAR_POSITIONAL else spellings,
        type=argument_type,
        fault=fault,
    )


def _type_of(hint: object) -> ArgumentType:
    if hint is inspect.Parameter.empty:
        raise UnsupportedAnnotation("Missing type annotation")
    if isinstance(hint, str):
        raise UnsupportedAnnotation(f"Unsupported argument type {hint!r}: it cannot be resolved")
    return type_from_hint(hint)


def _spellings(name: str, metadata: tuple[object, ...]) -> tuple[str, ...]:
    extra = [text for text in metadata if isinstance(text, str) and text.startswith("-")]
    if not extra and len(name) == 1:
        extra = [f"-{name}"]
    return tuple(dict.fromkeys([f"--{name}", *extra]))


def _resolved_hints(fn: Component) -> dict[str, object]:
    """Resolves each annotation on its own, so that one that fails does not spoil the others."""
    namespace = getattr(inspect.unwrap(fn), "__globals__", {})
    return {
        name: _resolved(parameter.annotation, namespace)
        for name, parameter in inspect.signature(fn).parameters.items()
    }


def _resolved(annotation: object, namespace: dict[str, Any]) -> object:
    """Returns the annotation without text in it; text that names nothing stays text."""
    if annotation is inspect.Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"value": annotation})
    try:
        return typing.get_type_hints(holder, globalns=namespace, include_extras=True)["value"]
    except (NameError, AttributeError, SyntaxError, TypeError):
        return annotation if isinstance(annotation, str) else str(annotation)
