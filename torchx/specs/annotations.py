"""Which annotations a component parameter may have, and how its values are read.

One grammar, two readers: the linter sees annotations as syntax, the runner as resolved type hints.
Both turn them into a :py:class:`Form`, and one recursive function turns a form into an
:py:class:`~torchx.specs.argument_types.ArgumentType`. What the linter accepts can therefore be
decoded.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Annotated, Any, Literal, Union

from torchx.specs.argument_types import (
    PRIMITIVES,
    ArgumentType,
    Choice,
    ListOf,
    Mapped,
    Named,
    Optionally,
    Primitive,
    TupleOf,
)
from torchx.util.records import record

_HEADS = {"List": "list", "Dict": "dict", "Tuple": "tuple", "NoneType": "None"}
_CONTAINERS = ("list", "dict", "tuple")
_REFUSED = "?"
_NEVER = frozenset([_REFUSED, "bytes", "complex", "frozenset", "set", "None", "..."])


class UnsupportedAnnotation(ValueError):
    """No text can be decoded into a value of this annotation."""


@record
class Form:
    """An annotation, reduced to what the grammar asks about it.

    Attributes:
        head: Name of the type or of the generic (``list``, ``Optional``, ``Union``).
        text: The annotation as its author wrote it, for messages.
        parameters: What stands in the brackets, None without brackets.
        values: The values of a ``Literal``.
        type: The class, where it is known (never to the linter).
    """

    head: str
    text: str
    parameters: Sequence[Form] | None = None
    values: Sequence[object] = ()
    type: Any = None


@record
class FileNames:
    """What a file says about the names in its annotations.

    Attributes:
        originals: Local name to imported name, for ``import ... as``.
        classes: Classes of the file, and whether values of them can be decoded.
    """

    originals: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, bool] = field(default_factory=dict)


def type_from_hint(hint: Any) -> ArgumentType:
    """Turns a resolved type hint into what decodes its values.

    Args:
        hint: As ``typing.get_type_hints(..., include_extras=True)`` returns it.

    Returns:
        The type.

    Raises:
        UnsupportedAnnotation: If no text can be decoded into it.
    """
    return _argument_type(form_from_hint(hint))


def type_from_syntax(annotation: ast.expr, names: FileNames) -> ArgumentType:
    """Turns the syntax of an annotation into what decodes its values.

    Args:
        annotation: The expression behind the colon.
        names: What the file says about the names in it.

    Returns:
        The type; :py:class:`Named` for a name that syntax alone does not resolve.

    Raises:
        UnsupportedAnnotation: If no text can be decoded into it.
    """
    return _argument_type(form_from_syntax(annotation, names))


def _argument_type(form: Form) -> ArgumentType:
    optional = _inner_of_optional(form)
    if optional is not None:
        return Optionally(_plain_type(optional))
    return _plain_type(form)


def _plain_type(form: Form) -> ArgumentType:
    if form.head == "Literal":
        return Choice({str(value): value for value in form.values})
    if form.head in _CONTAINERS:
        return _container(form)
    if form.parameters is not None:
        if form.head == "Union" and "|" in form.text:
            raise UnsupportedAnnotation(f"Unsupported argument type {form.text!r}")
        raise UnsupportedAnnotation(f"Unsupported container type {form.head!r}")
    scalar = _scalar(form)
    if scalar is None:
        raise UnsupportedAnnotation(f"Unsupported argument type {form.text!r}")
    return scalar


def _scalar(form: Form) -> ArgumentType | None:
    """Returns the type of a single value, None if the form is no such type."""
    if form.head == "Literal":
        return _plain_type(form)
    if form.parameters is not None or form.head in _NEVER or form.head in _CONTAINERS:
        return None
    if form.head in PRIMITIVES:
        return Primitive(PRIMITIVES[form.head])
    if form.type is None:
        return Named(form.text)
    if isinstance(form.type, type) and issubclass(form.type, Enum):
        return Choice(dict(form.type.__members__))
    return None


def _container(form: Form) -> ArgumentType:
    if form.head == "dict":
        return _dict(form)
    if form.head == "tuple":
        return _tuple(form)
    if form.parameters is None:
        return ListOf(Primitive(str))
    if len(form.parameters) != 1:
        raise UnsupportedAnnotation(
            f"Malformed list type {form.text!r}, expected exactly one type parameter (list[T])"
        )
    return ListOf(_element(form.parameters[0], "element"))


def _dict(form: Form) -> ArgumentType:
    if form.parameters is None:
        return Mapped(Primitive(str), Primitive(str))
    if len(form.parameters) != 2:
        raise UnsupportedAnnotation(
            f"Malformed dict type {form.text!r}, expected exactly two type parameters (dict[K, V])"
        )
    key, value = form.parameters
    return Mapped(_element(key, "key"), _element(value, "value"))


def _tuple(form: Form) -> ArgumentType:
    parameters = form.parameters
    if parameters is None:
        return TupleOf((Primitive(str),), is_repeated=True)
    if len(parameters) == 2 and parameters[1].head == "...":
        return TupleOf((_element(parameters[0], "element"),), is_repeated=True)
    if len(parameters) == 1:
        raise UnsupportedAnnotation(
            f"Unsupported tuple type {form.text!r}: single-element tuples are valid typing but not"
            " supported for components; expected element types (tuple[T1, T2, ...])"
        )
    return TupleOf(tuple(_element(parameter, "element", "'{}'") for parameter in parameters))


def _element(form: Form, role: str, quoted: str = "{}") -> ArgumentType:
    scalar = _scalar(form)
    if scalar is None:
        shown = quoted.format(f"'{form.text}'")
        raise UnsupportedAnnotation(f"Non-primitive {role} type {shown}")
    return scalar


def _inner_of_optional(form: Form) -> Form | None:
    if form.parameters is None:
        return None
    if form.head == "Optional" and len(form.parameters) == 1:
        return form.parameters[0]
    if form.head != "Union":
        return None
    others = [parameter for parameter in form.parameters if parameter.head != "None"]
    return others[0] if len(others) == 1 < len(form.parameters) else None


def form_from_hint(hint: Any) -> Form:
    """Reduces a resolved type hint.

    Args:
        hint: The hint.

    Returns:
        Its form.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return form_from_hint(arguments[0])
    if hint is None or hint is type(None):
        return Form("None", "None")
    if hint is Ellipsis:
        return Form("...", "...")
    if isinstance(hint, typing.NewType):
        return form_from_hint(hint.__supertype__)
    text = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    if origin is None:
        name = getattr(hint, "__name__", None) or str(hint).rpartition(".")[2]
        return Form(_HEADS.get(name, name), text, type=hint)
    if origin is Literal:
        return Form("Literal", text, values=arguments)
    head = "Union" if origin in (Union, types.UnionType) else getattr(origin, "__name__", text)
    # typing.List without brackets has an origin, but no arguments.
    return Form(head, text, [form_from_hint(one) for one in arguments] if arguments else None)


def form_from_syntax(node: ast.expr, names: FileNames) -> Form:
    """Reduces the syntax of an annotation.

    Args:
        node: The expression.
        names: What the file says about the names in it.

    Returns:
        Its form.
    """
    text = ast.unparse(node)
    if isinstance(node, ast.Constant):
        return _form_from_constant(node, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members = [form_from_syntax(side, names) for side in (node.left, node.right)]
        return Form("Union", text, _flattened(members))
    if isinstance(node, ast.Subscript):
        return _form_from_subscript(node, names)
    if isinstance(node, ast.Attribute):
        return Form(_HEADS.get(node.attr, node.attr), text)
    if isinstance(node, ast.Name):
        name = names.originals.get(node.id, node.id)
        if not names.classes.get(node.id, True):
            return Form(_REFUSED, text)
        return Form(_HEADS.get(name, name), text)
    return Form(_REFUSED, text)


def _form_from_constant(node: ast.Constant, names: FileNames) -> Form:
    if node.value is None:
        return Form("None", "None")
    if node.value is Ellipsis:
        return Form("...", "...")
    if not isinstance(node.value, str):
        return Form(_REFUSED, ast.unparse(node))
    try:
        return form_from_syntax(ast.parse(node.value, mode="eval").body, names)
    except SyntaxError:
        return Form(_REFUSED, ast.unparse(node))


def _form_from_subscript(node: ast.Subscript, names: FileNames) -> Form:
    text = ast.unparse(node)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    generic = form_from_syntax(node.value, names)
    head = generic.text if generic.parameters is not None else generic.head
    if head == "Annotated" and inner:
        return form_from_syntax(inner[0], names)
    if head == "Literal":
        return Form(head, text, values=[_literal_value(value) for value in inner])
    parameters = [form_from_syntax(parameter, names) for parameter in inner]
    return Form(head, text, _flattened(parameters) if head == "Union" else parameters)


def _literal_value(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def _flattened(members: Sequence[Form]) -> list[Form]:
    flat: list[Form] = []
    for member in members:
        nested = member.parameters if member.head == "Union" else None
        flat.extend(nested if nested is not None else [member])
    return flat


def names_of_file(module: ast.Module) -> FileNames:
    """Collects what a file says about names that its annotations may use.

    Args:
        module: The parsed file.

    Returns:
        Its renamed imports and its classes.
    """
    originals: dict[str, str] = {}
    classes: dict[str, bool] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            originals.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            # A base from elsewhere may be an Enum: only what is certainly none is refused.
            classes[node.name] = any(classes.get(base, base not in PRIMITIVES) for base in bases)
    return FileNames(originals, classes)
