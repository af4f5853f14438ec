"""The registry as plain data and as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torchx.plugins._model import PluginFactory, PluginType, RegistrationError
from torchx.util.entrypoints import DeferredEntryPoint

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset(["true", "false", "yes", "no", "on", "off", "y", "n", "null"])
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def as_dict(
    plugins: Mapping[PluginType, Mapping[str, PluginFactory]], errors: Iterable[RegistrationError]
) -> dict[str, list[dict[str, Any]]]:
    """Returns plugins and errors as plain data.

    Args:
        plugins: Factory by kind and name.
        errors: What went wrong.

    Returns:
        Plugins and their errors by kind, and ``errors`` of whole modules.
    """
    report = {
        plugin_type.label: _entries(plugin_type, plugins[plugin_type]) for plugin_type in PluginType
    }
    report["errors"] = []
    for error in errors:
        entry = {"module": error.module, "error": error.error}
        if error.plugin_type is None:
            report["errors"].append(entry)
        else:
            report[error.plugin_type].append({"name": error.name, **entry})
    # Consumers of earlier releases know four keys.
    if not report[PluginType.EVENT_HANDLER.label]:
        del report[PluginType.EVENT_HANDLER.label]
    return report


def as_yaml(report: Mapping[str, list[dict[str, Any]]]) -> str:
    """Writes such data as YAML.

    Args:
        report: What :func:`as_dict` returned.

    Returns:
        YAML that loads back to the same data.
    """
    lines: list[str] = []
    for group, entries in report.items():
        lines.append(f"{group}:" if entries else f"{group}: []")
        for entry in entries:
            marks = ["  - ", *["    "] * (len(entry) - 1)]
            lines.extend(
                f"{mark}{key}: {_scalar(key, value)}"
                for mark, (key, value) in zip(marks, entry.items(), strict=True)
            )
    return "\n".join(lines) + "\n"


def module_of(plugin: PluginFactory) -> str:
    """Returns where a plugin is defined.

    Args:
        plugin: The plugin; an entry point is not imported.

    Returns:
        Name of the module.
    """
    if isinstance(plugin, DeferredEntryPoint):
        return plugin.entry_point.module
    return str(getattr(plugin, "__module__", None) or type(plugin).__module__)


def parts_of(plugins: Mapping[str, PluginFactory], base: str) -> tuple[list[str], list[str]]:
    """Returns the other names that one decorated function has given rise to.

    Args:
        plugins: Named resources by name.
        base: Name of the function's own resource.

    Returns:
        Its aliases, and its fractions.
    """
    children = {name: plugin for name, plugin in plugins.items() if base_of(plugin) == base}
    aliases = [name for name, made in children.items() if getattr(made, "_plugin_is_alias", False)]
    return aliases, [name for name in children if name not in aliases]


def base_of(plugin: PluginFactory) -> str | None:
    """Returns the name of the resource that a named resource is another name or a part of.

    Args:
        plugin: The plugin.

    Returns:
        The name, None if it stands for itself.
    """
    base = getattr(plugin, "_plugin_base_name", None)
    return base if isinstance(base, str) else None


def _entries(plugin_type: PluginType, plugins: Mapping[str, PluginFactory]) -> list[dict[str, Any]]:
    entries = []
    for name, plugin in plugins.items():
        if base_of(plugin) in plugins:
            continue
        entry: dict[str, Any] = {"name": name, "module": module_of(plugin)}
        if plugin_type is PluginType.NAMED_RESOURCE:
            entry["aliases"], entry["fractionals"] = parts_of(plugins, name)
        entries.append(entry)
    return entries


def _scalar(key: str, value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(str(item)) for item in value)}]"
    if value is None:
        return "null"
    return _quoted(str(value)) if key == "error" else _text(str(value))


def _text(value: str) -> str:
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
    return value if is_plain else _quoted(value)


def _quoted(value: str) -> str:
    return f'"{"".join(_escaped(character) for character in value)}"'


def _escaped(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
