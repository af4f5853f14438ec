"""The configuration file of an `FsspecTracker`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError
from torchx.util.types import to_bool

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_REQUIRED = ("protocol", "root_path")
_HINT = (
    "set it to the path or URL of a text file with the lines `protocol=file` and"
    " `root_path=/path/of/the/tracker`; see docs/tracking.md"
)


class TrackerConfigError(TorchXError, ValueError):
    """The configuration of a tracker is missing, incomplete or cannot be read."""


def read_config(config_file: str) -> dict[str, Any]:
    """Reads a configuration file.

    Args:
        config_file: Path or URL of the file.

    Returns:
        The values by key, all text; a key with dots is a key in a dict in a dict.

    Raises:
        ValueError: A key ends with a dot, or is a value and holds further keys.
        OSError: The file cannot be read.
    """
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(config_file)
    config: dict[str, Any] = {}
    for line in fs.cat_file(path).decode().splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if key and equals and value and not key.startswith("#"):
            put_config(config, key, value)
    return config


def put_config(config: dict[str, Any], key: str, value: str) -> None:
    """Sets a value.

    Args:
        config: The configuration, changed in place.
        key: The key; dots lead into inner dicts.
        value: The value.

    Raises:
        ValueError: The key ends with a dot, or is a value and holds further keys.
    """
    head, dot, rest = key.partition(".")
    if not dot:
        if isinstance(config.get(key), dict):
            raise TrackerConfigError(f"`{key}` is given a value, but other keys are below it")
        config[key] = value
        return
    if not rest:
        raise TrackerConfigError(f"the key `{key}` must not end with a dot")
    inner = config.setdefault(head, {})
    if not isinstance(inner, dict):
        raise TrackerConfigError(f"`{head}` has a value, so that `{key}` cannot be below it")
    put_config(inner, rest, value)


def required(config: Mapping[str, Any], config_file: str) -> None:
    """Checks that a configuration is complete.

    Args:
        config: The configuration.
        config_file: Where it comes from.

    Raises:
        TrackerConfigError: A key is missing; the message names it.
    """
    missing = [key for key in _REQUIRED if not config.get(key)]
    if missing:
        raise TrackerConfigError(f"{config_file} lacks {' and '.join(missing)}", hint=_HINT)


def no_config() -> TrackerConfigError:
    """Returns the error for a tracker without configuration."""
    return TrackerConfigError(
        "the tracker `fsspec` needs a configuration: `config` of [tracker:fsspec] in"
        " .torchxconfig, or the environment variable TORCHX_TRACKER_FSSPEC_CONFIG",
        hint=_HINT,
    )


def typed(options: Mapping[str, Any], filesystem: type[AbstractFileSystem]) -> dict[str, Any]:
    """Gives options the types that a file system expects.

    Args:
        options: Options as text.
        filesystem: The class of the file system. The type of an option is that of its default; of
            options that it does not name, and in inner dicts, only truth values are told from text.

    Returns:
        The options.
    """
    # The class itself has the signature of its metaclass.
    parameters = inspect.signature(filesystem.__init__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return {key: _typed(value, defaults.get(key)) for key, value in options.items()}


def _typed(value: Any, default: object) -> Any:
    if isinstance(value, dict):
        return {key: _typed(inner, None) for key, inner in value.items()}
    if isinstance(default, bool):
        return to_bool(value)
    if isinstance(default, (int, float)):
        return type(default)(value)
    return {"true": True, "false": False}.get(value.lower(), value)
