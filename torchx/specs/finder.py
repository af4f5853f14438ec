"""Finding components by name, and listing them.

Looking up one component imports its module and nothing else; only listing walks everything. A
module that cannot be imported hides its own components, no others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, cast

from torchx.specs.component_finders import (
    ComponentLoadException,
    ComponentNotFoundException,
    ComponentsFinder,
    ComponentValidationException,
    CustomComponentsFinder,
    ModuleComponentsFinder,
    _Component,
    closest_hint,
    is_namespace_package,
    is_package,
    module_relname,
    reason_of,
)
from torchx.util import entrypoints

if TYPE_CHECKING:
    from torchx.specs.file_linter import ComponentFunctionValidator

__all__ = [
    "ComponentLoadException",
    "ComponentNotFoundException",
    "ComponentValidationException",
    "ComponentsFinder",
    "CustomComponentsFinder",
    "ModuleComponentsFinder",
    "_Component",
    "get_builtin_source",
    "get_component",
    "get_components",
    "is_namespace_package",
    "is_package",
    "module_relname",
]

logger: logging.Logger = logging.getLogger(__name__)

_BUILTINS = "torchx.components"

_components: dict[str, _Component] | None = None
_components_key: tuple[object, ...] = ()


def get_components(
    validators: list[ComponentFunctionValidator] | None = None,
) -> dict[str, _Component]:
    """Returns all components that keep the rules.

    Args:
        validators: The rules; None stands for all of them.

    Returns:
        Name to component.
    """
    return {
        name: component
        for name, component in _all_components(validators).items()
        if not component.validation_errors
    }


def get_component(
    name: str, validators: list[ComponentFunctionValidator] | None = None
) -> _Component:
    """Returns the component of a name.

    Args:
        name: ``utils.echo``, ``path/to/file.py:fn`` or ``package.module:fn``.
        validators: The rules; None stands for all of them.

    Returns:
        The component.

    Raises:
        ComponentNotFoundException: If there is none of that name.
        ComponentValidationException: If it breaks the rules; all faults are named.
        FileNotFoundError: If the name refers to a file that does not exist.
    """
    if ":" in name:
        filepath, _, function_name = name.rpartition(":")
        [component] = CustomComponentsFinder(filepath, function_name).find(validators)
    else:
        component = _find_by_name(name, validators)
    if component.validation_errors:
        faults = "\n ".join(component.validation_errors)
        raise ComponentValidationException(
            f"Component {name} has validation errors: \n {faults}",
            hint="fix the signature of the function",
        )
    return component


def get_builtin_source(
    name: str, validators: list[ComponentFunctionValidator] | None = None
) -> str:
    """Returns the source of a component as a file of its own.

    Args:
        name: Name of the component, see :py:func:`get_component`.
        validators: The rules; None stands for all of them.

    Returns:
        The text of a file that can be run as ``FILE:FUNCTION``.

    Raises:
        ComponentNotFoundException: If there is none of that name.
    """
    import inspect
    import sys

    from torchx.specs.component_source import standalone_source

    component = get_component(name, validators)
    fn = inspect.unwrap(component.fn)
    module = sys.modules[fn.__module__]
    package: str | None = getattr(module, "__package__", None)
    return standalone_source(inspect.getsource(module), component.fn_name, package)


def _find_by_name(name: str, validators: list[ComponentFunctionValidator] | None) -> _Component:
    if _components is not None and validators is None and _components_key == _plugins_key():
        component = _components.get(name)
    else:
        component = _find_one(name, validators)
    if component is None:
        raise ComponentNotFoundException(
            f"Component `{name}` not found. It must be a builtin (see `torchx builtins`), be"
            " registered under [torchx.components], or be of the form FILE:FUNCTION",
            hint=closest_hint(name, set(_all_components(validators)))
            or "`torchx builtins` lists components; FILE.py:FUNCTION is your own",
        )
    return component


def _find_one(name: str, validators: list[ComponentFunctionValidator] | None) -> _Component | None:
    found: _Component | None = None
    for finder in _plugin_finders(name):
        found = finder.find_one(name, validators) or found
    builtin = ModuleComponentsFinder(_BUILTINS, "")
    if found is None:
        return builtin.find_one(name, validators)
    if builtin.find_one(name, []) is not None:
        _report_hidden(name, found)
    return found


def _all_components(
    validators: list[ComponentFunctionValidator] | None,
) -> dict[str, _Component]:
    global _components, _components_key
    if validators is not None:
        return _load_components(validators)
    key = _plugins_key()
    if _components is None or _components_key != key:
        _components = _load_components(None)
        _components_key = key
    return _components


def _load_components(
    validators: list[ComponentFunctionValidator] | None,
) -> dict[str, _Component]:
    found = {
        component.name: component
        for component in ModuleComponentsFinder(_BUILTINS, "").find(validators)
    }
    for finder in _plugin_finders():
        try:
            components = finder.find(validators)
        except (Exception, SystemExit) as error:
            base = finder.base_name
            logger.warning("components of plugin %s are not available: %s", base, reason_of(error))
            continue
        for component in components:
            hidden = found.get(component.name)
            if hidden is not None and hidden.fn.__module__.startswith(_BUILTINS):
                _report_hidden(component.name, component)
            found[component.name] = component
    return found


def _plugins() -> Mapping[str, Callable[[], object]]:
    found = entrypoints.load_group("torchx.components") or {}
    return cast("Mapping[str, Callable[[], object]]", found)


def _plugins_key() -> tuple[object, ...]:
    return tuple(
        (name, getattr(getattr(plugin, "entry_point", plugin), "value", plugin))
        for name, plugin in _plugins().items()
    )


def _plugin_finders(name: str | None = None) -> Iterator[ModuleComponentsFinder]:
    """Yields the finders of all plugins, or of those that can hold a component of that name."""
    for plugin, load in _plugins().items():
        group = "" if plugin.startswith("_") else plugin
        if name is not None and group and not name.startswith(group + "."):
            continue
        try:
            base = _base_of(plugin, load)
        except AssertionError:
            raise
        except (Exception, SystemExit) as error:
            logger.warning(
                "the components of plugin %s are not available: %s", plugin, reason_of(error)
            )
            continue
        yield ModuleComponentsFinder(base, group)


def _base_of(plugin: str, load: Callable[[], object]) -> str | ModuleType:
    entry_point = getattr(load, "entry_point", None)
    if entry_point is not None and not entry_point.attr:
        return str(entry_point.module)
    base = load()
    assert isinstance(base, (str, ModuleType)), (
        f"entry point torchx.components.{plugin} must be a module or return one,"
        f" not a {type(base).__name__}"
    )
    return base


def _report_hidden(name: str, winner: _Component) -> None:
    logger.warning(
        "component %s of %s hides the built-in of the same name", name, winner.fn.__module__
    )
