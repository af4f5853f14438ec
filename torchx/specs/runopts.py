"""Run options: what a scheduler can be told about a job, and how text becomes values.

Scheduler options arrive as ``key=value`` text (command line, ``.torchxconfig``), as JSON, or as
Python values. All end in :py:meth:`runopts.resolve`, which fills in defaults and checks types.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from torchx.errors import TorchXError
from torchx.specs.app import CfgVal
from torchx.util.records import record

_YELLOW_BOLD = "\033[1;33m"
_RESET = "\033[0m"
_ITEM_SEPARATOR = re.compile("[,;]")
_LOWER_THEN_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class InvalidRunConfigException(TorchXError):
    """A run option is missing, unknown or of the wrong type.

    Args:
        invalid_reason: What is wrong, naming the option.
        cfg_key: Name of the option.
        cfg: All options that were given.
        hint: What to do about it, or ``""``.

    Attributes:
        cfg_key: Name of the option.
    """

    def __init__(
        self, invalid_reason: str, cfg_key: str, cfg: Mapping[str, CfgVal], *, hint: str = ""
    ) -> None:
        given = {key: _shown(key, value) for key, value in cfg.items()}
        super().__init__(f"{invalid_reason}. Given: {given or '<EMPTY>'}", hint=hint)
        self.cfg_key = cfg_key
        self._arguments = (invalid_reason, cfg_key, dict(cfg))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments, {"hint": self.hint}


class MalformedRunConfigException(InvalidRunConfigException, ValueError):
    """The text of run options cannot be read."""


def get_type_name(tp: type) -> str:
    """Returns the name of a type for messages.

    Args:
        tp: A class or a generic.

    Returns:
        ``int``, ``list`` (also for ``list[str]``), ``typing.List[int]``.
    """
    if tp.__module__ != "typing" and hasattr(tp, "__name__"):
        return tp.__name__
    return str(tp)


class cases:
    """Conversions between ``snake_case`` and ``camelCase``."""

    @staticmethod
    def snake_to_camel(name: str) -> str:
        """Converts to camelCase.

        Args:
            name: For example ``hpc_cluster_uuid``.

        Returns:
            For example ``hpcClusterUuid``.
        """
        first, *rest = name.split("_")
        return first + "".join(part.title() for part in rest)

    @staticmethod
    def camel_to_snake(name: str) -> str:
        """Converts to snake_case.

        Args:
            name: For example ``numRetries``.

        Returns:
            For example ``num_retries``.
        """
        return _LOWER_THEN_UPPER.sub("_", name).lower()


@record
class runopt:
    """One run option.

    Attributes:
        default: Its value if it is not given.
        opt_type: ``bool``, ``int``, ``float``, ``str``, a list of str or a dict of str.
        is_required: True if it must be given.
        help: What it means, with units.
    """

    default: CfgVal
    opt_type: type
    is_required: bool
    help: str

    @property
    def is_type_list_of_str(self) -> bool:
        """True if the option is a list of texts."""
        return get_origin(self.opt_type) is list and get_args(self.opt_type) == (str,)

    @property
    def is_type_dict_of_str(self) -> bool:
        """True if the option is a dict from text to text."""
        return get_origin(self.opt_type) is dict and get_args(self.opt_type) == (str, str)

    def cast_to_type(self, value: str) -> CfgVal:
        """Reads a value of this option from text.

        Args:
            value: For example ``1``, ``true``, ``a;b`` (list) or ``k:v,k2:v2`` (dict).

        Returns:
            The value.

        Raises:
            ValueError: If the text does not fit the type.
            AssertionError: If the type of this option cannot be read from text.
        """
        if self.opt_type is None:
            raise ValueError("runopt's opt_type cannot be `None`")
        if self.opt_type is bool:
            from torchx.util.types import to_bool

            return to_bool(value)
        if self.is_type_list_of_str:
            return _items(value)
        if self.is_type_dict_of_str:
            return dict(_key_and_value(item) for item in _items(value))
        if self.opt_type not in (str, int, float):
            raise AssertionError(f"cannot read a {get_type_name(self.opt_type)} from text")
        converted: CfgVal = self.opt_type(value)
        return converted


class runopts:
    """The options of a scheduler, in the order in which they were added.

    Some schedulers have a published set of options, which programs written for them count on. An
    option beyond that set is an *extension*: it comes behind the published ones and is kept apart
    from them, but is listed, read, checked and found like any other.

    Example:
        >>> opts = runopts()
        >>> opts.add("queue", type_=str, help="where to run", default="default")
        >>> opts.resolve({})
        {'queue': 'default'}
    """

    def __init__(self) -> None:
        # Programs read the published options here.
        self._opts: dict[str, runopt] = {}
        self._extensions: dict[str, runopt] = {}

    def __iter__(self) -> Iterator[tuple[str, runopt]]:
        yield from self._opts.items()
        yield from self._extensions.items()

    def __len__(self) -> int:
        return len(self._opts) + len(self._extensions)

    def __or__(self, other: runopts) -> runopts:
        both = runopts()
        both.update(self)
        both.update(other)
        return both

    def add(
        self,
        cfg_key: str,
        type_: type,
        help: str,
        default: CfgVal = None,
        required: bool = False,
        *,
        is_extension: bool = False,
    ) -> None:
        """Adds an option, or replaces the one of the same name.

        Args:
            cfg_key: Name of the option in snake_case.
            type_: ``bool``, ``int``, ``float``, ``str``, a list of str or a dict of str.
            help: What it means, with units.
            default: Value if it is not given.
            required: True if it must be given; it then has no default.
            is_extension: True for an option beyond the published ones.

        Raises:
            ValueError: If it is required and has a default.
            TypeError: If the default is not of the type.
        """
        if required and default is not None:
            raise ValueError(
                f"required option must not specify a default value."
                f" Given: cfg_key={cfg_key}, default={_shown(cfg_key, default)}"
            )
        # An empty list has always been taken as the default of a dict option.
        if default is not None and default != [] and not self.is_type(default, type_):
            raise TypeError(
                f"Option: {cfg_key}, must be of type: {get_type_name(type_)}."
                f" Given: {_shown(cfg_key, default)} ({type(default).__name__})"
            )
        self._put(cfg_key, runopt(default, type_, required, help), is_extension)

    def update(self, other: runopts) -> None:
        """Adds all options of another set; its options replace those of the same name.

        Args:
            other: The options to add.
        """
        for key, option in other:
            self._put(key, option, key in other._extensions)

    @staticmethod
    def is_type(obj: CfgVal, tp: type) -> bool:
        """Tells whether a value is of an option's type.

        Args:
            obj: The value; None is of no type.
            tp: The type. An int is a float; a bool is no number.

        Returns:
            True if it is.
        """
        container = get_origin(tp) or tp
        if isinstance(obj, bool):
            return tp is bool
        if tp is float and isinstance(obj, int):
            return True
        if not isinstance(obj, container):
            return False
        if container is tp:
            return True
        if isinstance(obj, dict):
            return all(isinstance(text, str) for pair in obj.items() for text in pair)
        return isinstance(obj, list) and all(isinstance(item, str) for item in obj)

    def get(self, name: str) -> runopt | None:
        """Returns an option by name.

        Args:
            name: Its name, in snake_case or camelCase.

        Returns:
            The option, or None if there is none.
        """
        registered = self._registered(name) or ""
        return self._opts.get(registered) or self._extensions.get(registered)

    def unknown_keys(self, cfg: Mapping[str, CfgVal]) -> dict[str, str | None]:
        """Finds keys that are no options.

        Args:
            cfg: Options as given.

        Returns:
            Each unknown key with the closest name of an option, or None if none is close.
        """
        return {key: self._closest(key) for key in cfg if self._registered(key) is None}

    def resolve(self, cfg: Mapping[str, CfgVal]) -> dict[str, CfgVal]:
        """Fills in defaults and checks the values.

        Args:
            cfg: Options as given. It is not changed.

        Returns:
            A new dict under the registered names. Unknown keys are kept, and so is an explicit
            None.

        Raises:
            InvalidRunConfigException: If a required option is missing, or a value is of the wrong
                type.
        """
        resolved = self._under_registered_names(cfg)
        for key, option in self:
            value = resolved.get(key)
            if option.is_required and value is None:
                raise InvalidRunConfigException(
                    f"Required run option: {key}, must be provided and not `None`",
                    key,
                    cfg,
                    hint=f"set {key}={key.upper()}: {' '.join(option.help.split())}",
                )
            if value is not None and not self.is_type(value, option.opt_type):
                raise InvalidRunConfigException(
                    f"Run option: {key}, must be of type: {get_type_name(option.opt_type)},"
                    f" but was: {_shown(key, value)} ({type(value).__name__})",
                    key,
                    cfg,
                )
            # The registered default must not be the object that a scheduler may append to.
            resolved.setdefault(key, copy.deepcopy(option.default))
        return resolved

    def cfg_from_str(self, cfg_str: str) -> dict[str, CfgVal]:
        """Reads options from ``key=value`` text; defaults are not filled in.

        Unknown options are dropped with a warning that names the closest option.

        Args:
            cfg_str: For example ``queue=short,tags=a;b,nodes=2``.

        Returns:
            The options, under the names as they were given.

        Raises:
            MalformedRunConfigException: If the text cannot be read. It is also a ``ValueError``.
        """
        from torchx.util.redact import redact_text
        from torchx.util.types import to_dict

        try:
            given = to_dict(cfg_str)
        except ValueError as error:
            raise MalformedRunConfigException(
                f"Run options cannot be read: {redact_text(str(error))}",
                "",
                {},
                hint="write them as name=value,name=value",
            ) from error
        return self._known(given, lambda key, option: self._cast(key, option, given))

    def cfg_from_json_repr(self, json_repr: str) -> dict[str, CfgVal]:
        """Reads options from a JSON object; defaults are not filled in.

        Args:
            json_repr: For example ``{"queue": "short", "nodes": 2}``. Text is read as in
                :py:meth:`cfg_from_str` where the option is not text.

        Returns:
            The options; unknown ones are dropped with a warning.

        Raises:
            MalformedRunConfigException: If the text is no JSON object, or a value does not fit.
        """
        import json

        try:
            given = json.loads(json_repr)
        except ValueError as error:
            raise MalformedRunConfigException(f"Run options: not JSON: {error}", "", {}) from error
        if not isinstance(given, dict):
            raise MalformedRunConfigException("Run options: not a JSON object", "", {})
        return self._known(given, lambda key, option: self._from_json(key, option, given))

    def _known(
        self, given: Mapping[str, CfgVal], read: Callable[[str, runopt], CfgVal]
    ) -> dict[str, CfgVal]:
        self._warn_of_unknown(given)
        return {key: read(key, option) for key in given if (option := self.get(key)) is not None}

    def _from_json(self, key: str, option: runopt, given: Mapping[str, CfgVal]) -> CfgVal:
        value = given[key]
        if isinstance(value, str) and option.opt_type is not str:
            return self._cast(key, option, given)
        if isinstance(value, list) and option.is_type_list_of_str:
            return [str(item) for item in value]
        if isinstance(value, dict) and option.is_type_dict_of_str:
            return {str(name): str(item) for name, item in value.items()}
        return value

    def _cast(self, key: str, option: runopt, given: Mapping[str, CfgVal]) -> CfgVal:
        text = str(given[key])
        # A separator behind the last value belongs to the list of options, not to a number.
        if option.opt_type in (bool, int, float):
            text = text.rstrip(",; ")
        try:
            return option.cast_to_type(text)
        except ValueError as error:
            from torchx.util.redact import is_secret_name

            type_name = get_type_name(option.opt_type)
            reason = "" if is_secret_name(key) else f" ({error})"
            raise MalformedRunConfigException(
                f"Run option: {key}, must be of type: {type_name},"
                f" but was: {_shown(key, text)}{reason}",
                key,
                given,
            ) from error

    def _warn_of_unknown(self, given: Mapping[str, CfgVal]) -> None:
        import logging

        # The published name of this logger: it is where users filter and tests listen.
        logger = logging.getLogger("torchx.specs.api")
        for key, closest in self.unknown_keys(given).items():
            advice = f" (did you mean `{closest}`?)" if closest else ""
            logger.warning(
                "%sUnknown run option passed to scheduler: %s=%s%s%s",
                _YELLOW_BOLD,
                key,
                _shown(key, given[key]),
                advice,
                _RESET,
            )

    def _put(self, key: str, option: runopt, is_extension: bool) -> None:
        """Adds an option; one that replaces another stays where that was."""
        is_extension = key not in self._opts and (is_extension or key in self._extensions)
        (self._extensions if is_extension else self._opts)[key] = option

    def _registered(self, name: str) -> str | None:
        spellings = (name, cases.camel_to_snake(name))
        found = (key for key in spellings if key in self._opts or key in self._extensions)
        return next(found, None)

    def _closest(self, key: str) -> str | None:
        import difflib

        matches = difflib.get_close_matches(cases.camel_to_snake(key), dict(self), n=1)
        return matches[0] if matches else None

    def _under_registered_names(self, cfg: Mapping[str, CfgVal]) -> dict[str, CfgVal]:
        resolved: dict[str, CfgVal] = {}
        for key in cfg:
            registered = self._registered(key)
            is_free_alias = registered is not None and registered not in cfg
            resolved[registered if registered and is_free_alias else key] = cfg[key]
        return resolved

    def __repr__(self) -> str:
        required = [(key, option) for key, option in self if option.is_required]
        optional = [(key, option) for key, option in self if not option.is_required]
        usage = ",".join(
            [f"{key}={key.upper()}" for key, _ in required]
            + [f"[{key}={key.upper()}]" for key, _ in optional]
        )
        text = f"    usage:\n        {usage}"
        if required:
            text += "\n\n    required arguments:" + "".join(_help(*pair) for pair in required)
        if optional:
            text += "\n\n    optional arguments:" + "".join(_help(*pair) for pair in optional)
        return text


def _help(key: str, option: runopt) -> str:
    type_name = get_type_name(option.opt_type)
    default = "" if option.is_required else f", {option.default}"
    # Docstrings of fields keep the indentation that they have in their source.
    lines = [line.strip() for line in option.help.splitlines()]
    return "\n            ".join([f"\n        {key}={key.upper()} ({type_name}{default})", *lines])


def _items(text: str) -> list[str]:
    return [item for item in _ITEM_SEPARATOR.split(text) if item]


def _key_and_value(item: str) -> tuple[str, str]:
    key, colon, value = item.partition(":")
    if not colon:
        raise ValueError(f"{item!r} is not of the form key:value")
    return key, value


def _shown(key: str, value: object) -> object:
    """Returns a value as it may be shown in a message."""
    from torchx.util.redact import is_secret_name, redact_value

    if isinstance(value, str):
        return redact_value(key, value)
    if isinstance(value, (list, dict)) and is_secret_name(key):
        return redact_value(key, str(value))
    return value
