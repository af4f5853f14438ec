"""Cutting one component out of its file, with all it needs to stand alone."""

from __future__ import annotations

import ast
import copy
import importlib.util


def standalone_source(source: str, fn_name: str, package: str | None) -> str:
    """Returns a component and what it uses of its file: imports, constants, other functions.

    Args:
        source: Text of the file.
        fn_name: Name of the component.
        package: Package that relative imports of the file refer to, None for a plain file.

    Returns:
        The text of a file that holds the component and runs on its own.

    Raises:
        LookupError: If the file does not define the function.
    """
    module = ast.parse(source)
    defined = [_names_bound_by(statement) for statement in module.body]
    if not any(fn_name in names for names in defined):
        raise LookupError(fn_name)
    chosen = _statements_needed(module.body, defined, fn_name)
    imports = [one for one in chosen if isinstance(one, (ast.Import, ast.ImportFrom))]
    others = [one for one in chosen if not isinstance(one, (ast.Import, ast.ImportFrom))]
    lines = source.splitlines()
    parts = ["\n".join(_import_text(one, lines, package) for one in imports)]
    parts.extend(_text(one, lines) for one in others)
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _statements_needed(
    statements: list[ast.stmt], defined: list[set[str]], fn_name: str
) -> list[ast.stmt]:
    needed: set[int] = set()
    wanted = [fn_name]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        for index, names in enumerate(defined):
            if name in names and index not in needed:
                needed.add(index)
                wanted.extend(_names_used_by(statements[index]))
    return [
        statement
        for index, statement in enumerate(statements)
        if index in needed or _is_future_import(statement)
    ]


def _names_bound_by(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement gives to its file, also from inside ``if`` and ``try``."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _names_used_by(statement: ast.stmt) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(_names_in_annotation(node.value))
    return names


def _names_in_annotation(text: str) -> set[str]:
    """Returns the names in a text that may be a quoted annotation."""
    if not text.isprintable() or len(text) > 200:
        return set()
    try:
        expression = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        # Most texts are no annotations.
        return set()
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def _is_future_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _import_text(
    statement: ast.Import | ast.ImportFrom, lines: list[str], package: str | None
) -> str:
    if isinstance(statement, ast.Import) or not statement.level or not package:
        return _text(statement, lines)
    absolute = copy.deepcopy(statement)
    relative = "." * statement.level + (statement.module or "")
    absolute.module = importlib.util.resolve_name(relative, package)
    absolute.level = 0
    return ast.unparse(absolute)


def _text(statement: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : statement.end_lineno])
