"""Where the words come from that completion offers. All of it is quick: nothing is launched."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Candidate(NamedTuple):
    """Something to offer.

    Attributes:
        value: The whole word.
        text: What it is, in a few words.
    """

    value: str
    text: str = ""


def schedulers(current: str = "") -> list[Candidate]:
    """Returns the names of schedulers.

    Args:
        current: What has been typed; names before a comma stay.

    Returns:
        The names.
    """
    from torchx.schedulers import get_scheduler_factories

    head = current[: current.rfind(",") + 1]
    return [Candidate(head + name) for name in get_scheduler_factories()]


def profiles() -> list[Candidate]:
    """Returns the profiles of the configuration files.

    Returns:
        Their names.
    """
    from torchx.util.config_file import read
    from torchx.util.config_layers import find_configs, profile_names

    return [Candidate(name) for name in profile_names(read(path) for path in find_configs())]


def run_options(scheduler: str | None, current: str) -> Iterator[Candidate]:
    """Yields run options of a scheduler, and values of those that have few.

    Args:
        scheduler: Name of the scheduler; None stands for the configured or the default one.
        current: What has been typed of ``key=value,key=value``.

    Yields:
        What the whole text can become.
    """
    from torchx.runner import config

    name = scheduler or config.get_config("cli", "run", "scheduler") or _default_scheduler()
    head = current[: current.rfind(",") + 1]
    given = {item.partition("=")[0] for item in head.split(",")}
    key, equal_sign, _ = current[len(head) :].partition("=")
    for option in config.effective_options(name):
        if not equal_sign and option.name not in given:
            yield Candidate(f"{head}{option.name}=", option.help)
        elif equal_sign and option.name == key and option.is_flag:
            yield from (Candidate(f"{head}{key}={word}") for word in ("true", "false"))


def components(current: str) -> Iterator[Candidate]:
    """Yields components: built-in ones, those of plugins, files, and functions of a file.

    Args:
        current: What has been typed.

    Yields:
        Names of components, or paths.
    """
    path, colon, _ = current.rpartition(":")
    if colon:
        for name in _component_functions(Path(path)):
            yield Candidate(f"{path}:{name}")
        return
    yield from (Candidate(name) for name in component_names())
    if current:
        yield from _component_files(current)


def component_names() -> list[str]:
    """Returns the names of components without importing the modules that define them.

    Returns:
        The names, those of plugins last.
    """
    import importlib.util

    import torchx

    package = Path(str(torchx.__file__)).parent / "components"
    names = _names_below(package, "")
    for group, module in _plugin_modules():
        found = importlib.util.find_spec(module)
        for folder in (found.submodule_search_locations or ()) if found else ():
            names += _names_below(Path(folder), group)
        if found and found.origin and not found.submodule_search_locations:
            names += [f"{group}{name}" for name in _component_functions(Path(found.origin))]
    return names


def parser_of_file_component(component: str) -> argparse.ArgumentParser | None:
    """Makes a parser with the options of a component in a file, which is read but not executed.

    Args:
        component: ``FILE:FUNCTION``.

    Returns:
        The parser, or None if the file has no such function.
    """
    import ast

    path, _, name = component.rpartition(":")
    module = ast.parse(Path(path).read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            parser = argparse.ArgumentParser(add_help=False)
            parser.add_argument("--help", action="store_true", help="show what it does")
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                parser.add_argument(f"--{argument.arg}")
            return parser
    return None


def component_values(action: argparse.Action) -> list[Candidate]:
    """Returns the values that an option of a component can have.

    Args:
        action: The option.

    Returns:
        The values, if they are few.
    """
    is_flag = action.nargs == "?" and str(action.default) in ("True", "False", "None")
    return [Candidate("true"), Candidate("false")] if is_flag else []


def _default_scheduler() -> str:
    from torchx.schedulers import get_default_scheduler_name

    return get_default_scheduler_name()


def _plugin_modules() -> Iterator[tuple[str, str]]:
    from torchx.util.entrypoints import load_group

    for name, plugin in (load_group("torchx.components") or {}).items():
        entry_point = plugin.entry_point
        if not entry_point.attr:
            yield "" if name.startswith("_") else f"{name}.", entry_point.module


def _names_below(folder: Path, group: str) -> list[str]:
    names = []
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder).with_suffix("").parts
        if {"test", "tests"}.isdisjoint(relative):
            module = ".".join(part for part in relative if part != "__init__")
            prefix = f"{group}{module}." if module else group
            names += [f"{prefix}{name}" for name in _component_functions(path)]
    return names


def _component_functions(path: Path) -> list[str]:
    from torchx.specs.component_finders import component_functions

    return component_functions(path.read_text(encoding="utf-8"))


def _component_files(current: str) -> Iterable[Candidate]:
    folder, name = os.path.split(current)
    with os.scandir(os.path.expanduser(folder) or ".") as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name.startswith(".") and not name.startswith("."):
                continue
            path = os.path.join(folder, entry.name)
            if entry.is_dir():
                yield Candidate(path + "/")
            elif entry.name.endswith(".py"):
                yield Candidate(path + ":")
