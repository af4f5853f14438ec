"""Loading a file of components as a module of its own."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import linecache
import os
import re
import sys
from types import ModuleType

from torchx.util.io import get_abspath

_NOT_IN_NAMES = re.compile(r"\W")


def load_component_file(filepath: str, source: str) -> ModuleType:
    """Executes a component file, once for each state of its text.

    The module has a unique name and is known to ``sys.modules``, so that its classes can be
    pickled. Its directory comes first in ``sys.path`` while it is executed and last afterwards, so
    that the file can import its neighbours. No byte code is written.

    Args:
        filepath: The file as the user named it.
        source: Its text.

    Returns:
        The module.

    Raises:
        SyntaxError: If the text is no Python.
        Exception: Whatever the file raises.
    """
    path = _absolute(filepath)
    name = _module_name(path)
    loaded = sys.modules.get(name)
    if loaded is not None and vars(loaded).get("__torchx_source__") == source:
        return loaded
    spec = importlib.machinery.ModuleSpec(
        name, importlib.machinery.SourceFileLoader(name, path), origin=path
    )
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    vars(module)["__torchx_source__"] = source
    if not os.path.exists(path):
        # The text came from an entry point; tracebacks and inspect look for it here.
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    _execute(module, compile(source, path, "exec", dont_inherit=True), os.path.dirname(path))
    return module


def _execute(module: ModuleType, code: object, directory: str) -> None:
    previous = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    sys.path.insert(0, directory)
    try:
        exec(code, vars(module))  # type: ignore[arg-type]  # compile() is typed as Any
    except BaseException:
        if previous is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = previous
        raise
    finally:
        if sys.path[:1] == [directory]:
            del sys.path[0]
        if directory not in sys.path:
            sys.path.append(directory)


def _absolute(filepath: str) -> str:
    if os.path.exists(filepath):
        return os.path.abspath(filepath)
    packaged = get_abspath(filepath)
    return packaged if os.path.exists(packaged) else os.path.abspath(filepath)


def _module_name(path: str) -> str:
    import hashlib

    stem = _NOT_IN_NAMES.sub("_", os.path.splitext(os.path.basename(path))[0])
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"torchx_component_file_{stem}_{digest}"
