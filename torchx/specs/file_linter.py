"""Checks component functions without running them.

All faults of a function are reported at once. What an annotation may be is decided by
:py:mod:`torchx.specs.annotations`, as it is when arguments are decoded.
"""

from __future__ import annotations

import abc
import ast
from collections.abc import Iterable
from functools import lru_cache

from torchx.specs.annotations import (
    FileNames,
    UnsupportedAnnotation,
    names_of_file,
    type_from_syntax,
)
from torchx.specs.docstrings import TorchXArgumentHelpFormatter, get_fn_docstring
from torchx.util.io import read_conf_file
from torchx.util.records import record

__all__ = [
    "OK",
    "ArgTypeValidator",
    "ComponentFnVisitor",
    "ComponentFunctionValidator",
    "LinterMessage",
    "ReturnTypeValidator",
    "TorchXArgumentHelpFormatter",
    "get_fn_docstring",
    "get_generic_type",
    "get_optional_type",
    "is_primitive",
    "read_conf_file",
    "validate",
    "validate_source",
]


@record
class LinterMessage:
    """One fault.

    Attributes:
        name: What found it.
        description: What is wrong, for a person.
        line: Line in the file, from 1; 0 for the file as a whole.
        char: Column.
        severity: Always ``error``.
    """

    name: str
    description: str
    line: int
    char: int
    severity: str = "error"


def OK() -> list[LinterMessage]:
    """Returns the result of a check that found nothing.

    Returns:
        An empty list.
    """
    return []


def is_primitive(arg: ast.expr) -> bool:
    """Tells whether an annotation is a plain name.

    Args:
        arg: The annotation.

    Returns:
        True for ``int``, ``str``, ``MyEnum``.
    """
    return isinstance(arg, ast.Name)


def get_generic_type(arg: ast.expr) -> ast.expr | None:
    """Returns the generic of a subscripted annotation.

    Args:
        arg: For example ``List[int]``.

    Returns:
        For example ``List``, None if there are no brackets.
    """
    return arg.value if isinstance(arg, ast.Subscript) else None


def get_optional_type(arg: ast.expr) -> ast.expr | None:
    """Returns what an optional is about.

    Args:
        arg: For example ``Optional[int]``, ``int | None`` or ``None | int``.

    Returns:
        For example ``int``, None if the annotation is no optional.
    """
    if isinstance(arg, ast.BinOp) and isinstance(arg.op, ast.BitOr):
        for side, other in ((arg.left, arg.right), (arg.right, arg.left)):
            if isinstance(side, ast.Constant) and side.value is None:
                return other
        return None
    generic = get_generic_type(arg)
    if generic is None or ast.unparse(generic).rpartition(".")[2] != "Optional":
        return None
    assert isinstance(arg, ast.Subscript)
    return arg.slice


class ComponentFunctionValidator(abc.ABC):
    """One rule for component functions.

    Attributes:
        names: What the file of the function says about names; set before ``validate`` is called.
    """

    names: FileNames = FileNames()

    @abc.abstractmethod
    def validate(self, app_specs_func_def: ast.FunctionDef) -> list[LinterMessage]:
        """Checks a function.

        Args:
            app_specs_func_def: The function.

        Returns:
            All faults, none if it keeps the rule.
        """

    def _gen_linter_message(self, description: str, lineno: int) -> LinterMessage:
        return LinterMessage(
            name="TorchxFunctionValidator", description=description, line=lineno, char=0
        )


class ArgTypeValidator(ComponentFunctionValidator):
    """Every parameter has an annotation whose values can be read from a command line."""

    def validate(self, app_specs_func_def: ast.FunctionDef) -> list[LinterMessage]:
        """See :py:meth:`ComponentFunctionValidator.validate`."""
        arguments = app_specs_func_def.args
        listed = [*arguments.posonlyargs, *arguments.args]
        if arguments.vararg:
            listed.append(arguments.vararg)
        listed.extend(arguments.kwonlyargs)
        faults = [(argument, self._fault(argument)) for argument in listed]
        if arguments.kwarg:
            reason = "Unsupported variable keyword arguments, use a dict or explicit parameters,"
            faults.append((arguments.kwarg, reason))
        return [
            self._gen_linter_message(
                f"{reason} for argument {ast.unparse(argument)!r}"
                f" in function {app_specs_func_def.name!r}",
                argument.lineno,
            )
            for argument, reason in faults
            if reason
        ]

    def _fault(self, argument: ast.arg) -> str:
        if argument.annotation is None:
            return "Missing type annotation"
        try:
            type_from_syntax(argument.annotation, self.names)
        except UnsupportedAnnotation as error:
            return str(error)
        return ""


class ReturnTypeValidator(ComponentFunctionValidator):
    """The function is annotated to return a job.

    Args:
        supported_return_type: Name of the class, ``AppDef``.
    """

    def __init__(self, supported_return_type: str) -> None:
        self._supported = supported_return_type

    def validate(self, app_specs_func_def: ast.FunctionDef) -> list[LinterMessage]:
        """See :py:meth:`ComponentFunctionValidator.validate`."""
        returned = self._returned_name(app_specs_func_def.returns)
        if returned == self._supported:
            return []
        if returned is None:
            description = (
                f"Function: {app_specs_func_def.name} missing return annotation or has unknown"
                f" annotations. Supported return annotation: {self._supported}"
            )
        else:
            description = (
                f"Function: {app_specs_func_def.name} has incorrect return annotation,"
                f" supported annotation: {self._supported}"
            )
        return [self._gen_linter_message(description, app_specs_func_def.lineno)]

    def _returned_name(self, returns: ast.expr | None) -> str | None:
        if isinstance(returns, ast.Constant):
            if returns.value is None:
                return "None"
            if isinstance(returns.value, str):
                return returns.value.rpartition(".")[2]
        if isinstance(returns, ast.Attribute):
            return returns.attr
        if isinstance(returns, ast.Name):
            return self.names.originals.get(returns.id, returns.id)
        return None


class ComponentFnVisitor(ast.NodeVisitor):
    """Checks the functions of one name in a file, those inside other functions aside.

    Args:
        component_function_name: The name.
        validators: The rules; None stands for all of them.

    Attributes:
        validators: The rules.
        linter_errors: The faults found so far.
        component_function_name: The name.
        visited_function: True once such a function was seen.
    """

    def __init__(
        self,
        component_function_name: str,
        validators: list[ComponentFunctionValidator] | None,
    ) -> None:
        if validators is None:
            validators = [ArgTypeValidator(), ReturnTypeValidator("AppDef")]
        self.validators: list[ComponentFunctionValidator] = validators
        self.linter_errors: list[LinterMessage] = []
        self.component_function_name = component_function_name
        self.visited_function = False

    def visit_Module(self, node: ast.Module) -> None:
        """Tells the rules what the file says about names, then goes on.

        Args:
            node: The file.
        """
        names = names_of_file(node)
        for validator in self.validators:
            validator.names = names
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Checks a function if it has the name.

        Args:
            node: The function.
        """
        if node.name != self.component_function_name:
            return
        self.visited_function = True
        for validator in self.validators:
            self.linter_errors.extend(validator.validate(node))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Passes over: a component cannot be a coroutine, and its inner functions are none.

        Args:
            node: The function.
        """


def validate(
    path: str,
    component_function: str,
    validators: list[ComponentFunctionValidator] | None = None,
) -> list[LinterMessage]:
    """Checks a component function of a file, which is not executed.

    Args:
        path: The file, see :py:func:`torchx.util.io.read_conf_file`.
        component_function: Name of the function.
        validators: The rules; None stands for all of them.

    Returns:
        All faults.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return validate_source(read_conf_file(path), component_function, validators)


def validate_source(
    source: str,
    component_function: str,
    validators: Iterable[ComponentFunctionValidator] | None = None,
) -> list[LinterMessage]:
    """Checks a component function of a text, which is not executed.

    Args:
        source: Text of a Python file.
        component_function: Name of the function.
        validators: The rules; None stands for all of them.

    Returns:
        All faults.
    """
    try:
        module = parse(source)
    except SyntaxError as error:
        return [_file_message(str(error.msg), error.lineno or 0, error.offset or 0)]
    visitor = ComponentFnVisitor(
        component_function, None if validators is None else list(validators)
    )
    visitor.visit(module)
    if not visitor.visited_function:
        return [_file_message(f"Function {component_function} not found", 0, 0)]
    return visitor.linter_errors


@lru_cache(maxsize=128)
def parse(source: str) -> ast.Module:
    """Parses a text, once however many of its functions are asked about.

    Args:
        source: Text of a Python file.

    Returns:
        Its tree, which callers must not change.

    Raises:
        SyntaxError: If it is no Python.
    """
    return ast.parse(source)


def _file_message(description: str, line: int, char: int) -> LinterMessage:
    return LinterMessage(name="TorchXValidator", description=description, line=line, char=char)
