"""Finds the string literals that document the fields of a class in its source code."""

from __future__ import annotations

import ast
import functools
import linecache
import sys
from collections.abc import Iterator


def field_docs(cls: type) -> dict[str, str]:
    """Reads the string literal that follows each annotated name in the body of a class.

    Args:
        cls: The class; what it inherits is not looked at.

    Returns:
        Text by field name; empty if the source is not available (an interactive session, a frozen
        program).
    """
    module = sys.modules.get(cls.__module__)
    path = getattr(module, "__file__", None)
    if module is None or path is None:
        return {}
    return _docs_in("".join(linecache.getlines(path, vars(module)))).get(cls.__qualname__, {})


@functools.lru_cache(maxsize=16)
def _docs_in(source: str) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    return {name: _docs_of(definition) for name, definition in _classes(tree, "")}


def _classes(scope: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _classes(node, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _classes(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.stmt):
            yield from _classes(node, prefix)


def _docs_of(definition: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for field, following in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[field.target.id] = following.value.value.strip()
    return docs
