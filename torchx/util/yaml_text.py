"""Writes YAML as ``yaml.dump`` does, but fast where many parts of the data are alike."""

from __future__ import annotations

import re
from typing import Any

_WIDTH = 80
# Text that is written as it is: it cannot be read as something else, and has no place to break.
_PLAIN = re.compile(r"(?!(?i:yes|no|true|false|on|off|null)\Z)[A-Za-z][A-Za-z0-9_./-]{0,99}")


def dump_yaml(data: dict[str, Any] | list[Any]) -> str:
    """Writes data as YAML.

    Args:
        data: Dicts with text as keys, lists, text, numbers, booleans and ``None``. No dict or list
            may occur in it twice.

    Returns:
        What ``yaml.dump(data)`` returns.

    Example:
        >>> print(dump_yaml({"b": ["1"], "a": {}}), end="")
        a: {}
        b:
        - '1'
    """
    return _Writer().text(data, 0)


class _Writer:
    """Remembers the text of each entry that it has written."""

    def __init__(self) -> None:
        import yaml

        self._yaml = yaml
        self._dumper = getattr(yaml, "CDumper", yaml.Dumper)
        self._written: dict[tuple[object, ...], str] = {}

    def text(self, node: Any, indent: int) -> str:
        """Returns the lines of a node, each but empty ones behind as many spaces as ``indent``."""
        if not node:
            return self._dump(node, indent)
        if isinstance(node, dict):
            return "".join(self._entry(key, node[key], indent) for key in sorted(node))
        return "".join(self._item(item, indent) for item in node)

    def _item(self, item: Any, indent: int) -> str:
        if isinstance(item, dict) and item:
            return f"{' ' * indent}- {self.text(item, indent + 2)[indent + 2 :]}"
        if isinstance(item, (dict, list)):
            return self._dump([item], indent)
        if isinstance(item, str) and _PLAIN.fullmatch(item):
            return f"{' ' * indent}- {item}\n"
        return self._remembered((type(item), item, indent), [item], indent)

    def _entry(self, key: str, value: Any, indent: int) -> str:
        is_plain = _PLAIN.fullmatch(key)
        if is_plain and isinstance(value, str) and _PLAIN.fullmatch(value):
            return f"{' ' * indent}{key}: {value}\n"
        if not isinstance(value, (dict, list)):
            return self._remembered((key, type(value), value, indent), {key: value}, indent)
        if not value or not is_plain:
            return self._dump({key: value}, indent)
        return f"{' ' * indent}{key}:\n{self.text(value, indent + 2 * isinstance(value, dict))}"

    def _remembered(self, key: tuple[object, ...], node: Any, indent: int) -> str:
        text = self._written.get(key)
        if text is None:
            text = self._written[key] = self._dump(node, indent)
        return text

    def _dump(self, node: Any, indent: int) -> str:
        # Lines may be as long as they would be in their place.
        text: str = self._yaml.dump(node, Dumper=self._dumper, width=_WIDTH - indent)
        prefix = " " * indent
        return "".join(f"{prefix}{line}\n" if line else "\n" for line in text.split("\n")[:-1])
