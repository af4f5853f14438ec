"""What components are, and where they are looked for: in modules and in files."""

from __future__ import annotations

import abc
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError
from torchx.util.records import record

if TYPE_CHECKING:
    from torchx.specs.file_linter import ComponentFunctionValidator

logger: logging.Logger = logging.getLogger(__name__)

_TEST_MODULES = frozenset(["test", "tests"])


class ComponentValidationException(TorchXError):
    """A component breaks the rules for components."""


class ComponentNotFoundException(TorchXError):
    """No component has that name."""


class ComponentLoadException(ComponentNotFoundException):
    """The module that should hold a component cannot be imported."""


@record
class _Component:
    """A function that describes a job.

    Attributes:
        name: The name that it is looked up by.
        description: What its docstring says.
        fn_name: Name of the function.
        fn: The function.
        validation_errors: Which rules it breaks.
    """

    name: str
    description: str
    fn_name: str
    fn: Callable[..., Any]
    validation_errors: list[str]


class ComponentsFinder(abc.ABC):
    """Finds components in one place."""

    @abc.abstractmethod
    def find(self, validators: list[ComponentFunctionValidator] | None) -> list[_Component]:
        """Finds all components, also those that break rules.

        Args:
            validators: The rules; None stands for all of them.

        Returns:
            The components.
        """


def is_package(module: ModuleType) -> bool:
    """Tells whether a module can have sub-modules.

    Args:
        module: The module.

    Returns:
        True for packages, namespace packages included.
    """
    return hasattr(module, "__path__")


def is_namespace_package(module: ModuleType) -> bool:
    """Tells whether a module is a package without a file.

    Args:
        module: The module.

    Returns:
        True if it is.
    """
    return is_package(module) and getattr(module, "__file__", None) is None


def module_relname(module: ModuleType, relative_to: ModuleType) -> str:
    """Returns the name of a module relative to a package.

    Args:
        module: The module.
        relative_to: The package, or the module itself.

    Returns:
        The dotted remainder of the name, ``""`` for the module itself.

    Raises:
        ValueError: If the module is not below the package.
    """
    name, base = module.__name__, relative_to.__name__
    if name == base:
        return ""
    if not name.startswith(base + "."):
        raise ValueError(f"{name} is not a submodule of {base}")
    return name[len(base) + 1 :]


class ModuleComponentsFinder(ComponentsFinder):
    """Finds the components of a module and of all modules below it.

    Args:
        module: The module or its name.
        group: What their names begin with, may be empty.

    Attributes:
        group: What their names begin with.
    """

    def __init__(self, module: str | ModuleType, group: str) -> None:
        self._base = module
        self.group = group

    @property
    def base_name(self) -> str:
        """Full name of the module."""
        return self._base if isinstance(self._base, str) else self._base.__name__

    def find(self, validators: list[ComponentFunctionValidator] | None) -> list[_Component]:
        """Finds all components; a module that cannot be imported is reported and skipped.

        Args:
            validators: The rules; None stands for all of them.

        Returns:
            The components, also those that break rules.

        Raises:
            Exception: If the base module itself cannot be imported.
        """
        importlib.import_module(self.base_name)
        found: list[_Component] = []
        for name in self._module_names(self.base_name):
            try:
                found.extend(self._in_module(name, validators))
            except (Exception, SystemExit) as error:
                logger.warning("components of %s are not available: %s", name, reason_of(error))
        return found

    def find_one(
        self, name: str, validators: list[ComponentFunctionValidator] | None
    ) -> _Component | None:
        """Finds one component, importing only its module and the packages around that.

        Args:
            name: Full name of the component.
            validators: The rules; None stands for all of them.

        Returns:
            The component, or None if it cannot be one of these.

        Raises:
            ComponentLoadException: If its module cannot be imported.
        """
        prefix = f"{self.group}." if self.group else ""
        if not name.startswith(prefix):
            return None
        relative, _, fn_name = name[len(prefix) :].rpartition(".")
        module_name = f"{self.base_name}.{relative}" if relative else self.base_name
        try:
            source = _source_of(module_name)
            if fn_name not in _function_names(source):
                return None
            return self._component(
                importlib.import_module(module_name), source, fn_name, validators
            )
        except (Exception, SystemExit) as error:
            raise ComponentLoadException(
                f"component {name!r} cannot be loaded: {reason_of(error)}",
                hint=f"`python -c 'import {module_name}'` shows where it fails",
            ) from error

    def _in_module(
        self, name: str, validators: list[ComponentFunctionValidator] | None
    ) -> Iterator[_Component]:
        source = _source_of(name)
        fn_names = _function_names(source)
        if not fn_names:
            return
        module = importlib.import_module(name)
        for fn_name in sorted(fn_names):
            component = self._component(module, source, fn_name, validators)
            if component is not None:
                yield component

    def _component(
        self,
        module: ModuleType,
        source: str,
        fn_name: str,
        validators: list[ComponentFunctionValidator] | None,
    ) -> _Component | None:
        fn = getattr(module, fn_name, None)
        if not isinstance(fn, FunctionType):
            return None
        relative = module.__name__[len(self.base_name) + 1 :]
        name = ".".join(part for part in (self.group, relative, fn_name) if part)
        return _make_component(name, fn_name, fn, source, validators)

    def _module_names(self, name: str) -> Iterator[str]:
        import pkgutil

        module = importlib.import_module(name)
        if not is_namespace_package(module):
            yield name
        for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
            below = f"{name}.{info.name}"
            if info.name in _TEST_MODULES:
                continue
            if not info.ispkg:
                yield below
                continue
            try:
                yield from self._module_names(below)
            except (Exception, SystemExit) as error:
                logger.warning("components of %s are not available: %s", below, reason_of(error))


class CustomComponentsFinder(ComponentsFinder):
    """Finds a component in a file or in a module that the user names.

    Args:
        filepath: Path of a file, or the dotted name of a module.
        function_name: Name of the function.
    """

    def __init__(self, filepath: str, function_name: str) -> None:
        self._filepath = filepath
        self._function_name = function_name

    def find(self, validators: list[ComponentFunctionValidator] | None) -> list[_Component]:
        """Loads the file and finds the component.

        Args:
            validators: The rules; None stands for all of them.

        Returns:
            The one component.

        Raises:
            ComponentNotFoundException: If there is no such function.
            FileNotFoundError: If there is neither such a file nor such a module.
        """
        module, source = self._load()
        fn = getattr(module, self._function_name, None)
        if fn is None:
            raise ComponentNotFoundException(
                f"Function {self._function_name} does not exist in file {self._filepath}",
                hint=closest_hint(self._function_name, _function_names(source)),
            )
        if not isinstance(fn, FunctionType):
            raise ComponentNotFoundException(
                f"{self._function_name} in {self._filepath} is no function"
                f" but a {type(fn).__name__}",
                hint="a component is a function that is defined with `def`",
            )
        name = f"{self._filepath}:{self._function_name}"
        return [_make_component(name, self._function_name, fn, source, validators)]

    def _load(self) -> tuple[ModuleType, str]:
        from torchx.specs.component_files import load_component_file
        from torchx.util.io import read_conf_file

        is_dotted_name = all(part.isidentifier() for part in self._filepath.split("."))
        if is_dotted_name and not os.path.isfile(self._filepath) and _exists(self._filepath):
            return importlib.import_module(self._filepath), _source_of(self._filepath)
        source = read_conf_file(self._filepath)
        return load_component_file(self._filepath, source), source


def _make_component(
    name: str,
    fn_name: str,
    fn: Callable[..., Any],
    source: str,
    validators: list[ComponentFunctionValidator] | None,
) -> _Component:
    from torchx.specs.docstrings import get_fn_docstring
    from torchx.specs.file_linter import validate_source

    messages = validate_source(source, fn_name, validators)
    return _Component(
        name=name,
        description=get_fn_docstring(fn)[0],
        fn_name=fn_name,
        fn=fn,
        validation_errors=[message.description for message in messages],
    )


def _source_of(module_name: str) -> str:
    """Returns the text of a module without importing it; ``""`` if there is no such text."""
    try:
        spec = importlib.util.find_spec(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            return ""
        raise
    loader = spec.loader if spec is not None else None
    get_source = getattr(loader, "get_source", None)
    return (get_source(module_name) if get_source is not None else None) or ""


def _function_names(source: str) -> set[str]:
    """Returns the public functions that a file defines, also under ``if`` and ``try``."""
    import ast

    from torchx.specs.file_linter import parse

    names: set[str] = set()
    pending: list[ast.AST] = [parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            names.add(node.name)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            pending.extend(ast.iter_child_nodes(node))
    return names


def _exists(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:
        return False


def component_functions(source: str) -> list[str]:
    """Finds the components of a file without importing it.

    Args:
        source: Text of the file.

    Returns:
        Names of the functions that keep the rules for components, in alphabetical order.

    Raises:
        SyntaxError: The text is no Python.
    """
    from torchx.specs.file_linter import validate_source

    names = sorted(_function_names(source))
    return [name for name in names if not validate_source(source, name, None)]


def closest_hint(name: str, names: set[str]) -> str:
    """Returns a hint at the closest name.

    Args:
        name: The name that was not found.
        names: Those that exist.

    Returns:
        A question, ``""`` if none is close.
    """
    import difflib

    matches = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean `{matches[0]}`?" if matches else ""


def reason_of(error: BaseException) -> str:
    """Returns an error as one line.

    Args:
        error: The error.

    Returns:
        Its kind and text.
    """
    return f"{type(error).__name__}: {error}"
