"""Typed options of a scheduler: one dataclass is the help text, the validation and the values."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torchx.specs.api import CfgVal, cases, runopts

CFG_KEY = "cfg_key"
"""Name under which the metadata of a field gives the key it goes by outside (``mail-user``)."""

IS_EXTENSION: Mapping[str, bool] = types.MappingProxyType({"is_extension": True})
"""Metadata of a field for an option beyond those that were published, see ``runopts.add``."""

_Opts = TypeVar("_Opts", bound="StructuredOpts")


@dataclasses.dataclass
class StructuredOpts(Mapping[str, CfgVal]):
    """Base of the dataclasses that declare the options of a scheduler.

    The string literal below a field is its help text. An instance is also a read-only mapping of
    its fields, under their names or the camelCase form of them. A field whose type is such a
    class is a group: its fields appear under dotted keys (``inner.x``). A field whose metadata has
    ``cfg_key`` goes by that key; one with :data:`IS_EXTENSION` is no published option.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass
        ... class Opts(StructuredOpts):
        ...     cluster_name: str
        ...     num_retries: int = 3
        >>> opts = Opts.from_cfg({"clusterName": "blue"})
        >>> opts.cluster_name, opts["num_retries"], opts["numRetries"]
        ('blue', 3, 3)
    """

    @classmethod
    def from_cfg(cls: type[_Opts], cfg: Mapping[str, CfgVal]) -> _Opts:
        """Creates options from a run config, whose unknown keys are ignored.

        Args:
            cfg: Values by key. Of several spellings of one option the first of ``cfg_key``, field
                name and camelCase counts. Values are taken as they are.

        Returns:
            The options; what ``cfg`` lacks has its default.

        Raises:
            TypeError: If a required option is missing.
        """
        hints = _type_hints(cls)
        values: dict[str, Any] = {}
        for field in _init_fields(cls):
            hint = hints[field.name]
            group = _group_type(hint)
            given = next((cfg[key] for key in _spellings(field) if key in cfg), _ABSENT)
            if group is not None and not isinstance(given, StructuredOpts):
                given = _group_from_cfg(field, group, cfg)
            if given is None and _has_factory(field) and not _is_optional(hint):
                # Resolving a run config fills in None, as what the factory makes is not known then.
                given = _ABSENT
            if given is not _ABSENT:
                values[field.name] = given
        return cls(**values)

    @classmethod
    def as_runopts(cls) -> runopts:
        """Declares the options to a runner.

        Returns:
            One run option per field, in the order of their declaration.
        """
        declared = runopts()
        docs = cls.get_docstrings()
        for leaf in _leaves(cls):
            declared.add(
                leaf.key,
                type_=leaf.hint,
                help=docs.get(leaf.path, leaf.path.rpartition(".")[2]),
                default=leaf.default,
                required=leaf.is_required,
                is_extension=leaf.is_extension,
            )
        return declared

    @classmethod
    def get_docstrings(cls) -> dict[str, str]:
        """Reads the string literals below the fields from the source code.

        Returns:
            Text by field name, dotted for fields of groups; inherited fields included. Empty where
            the source is not available.
        """
        from torchx.schedulers.field_docs import field_docs

        docs: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            docs.update(field_docs(base) if dataclasses.is_dataclass(base) else {})
        found = {}
        hints = _type_hints(cls)
        for field in _init_fields(cls):
            if field.name in docs:
                found[field.name] = docs[field.name]
            group = _group_type(hints[field.name])
            if group is not None:
                inner = group.get_docstrings()
                found.update({f"{field.name}.{name}": text for name, text in inner.items()})
        return found

    def __getitem__(self, key: str) -> CfgVal:
        value = self._find(key)
        if value is _ABSENT:
            raise KeyError(key)
        return typing.cast(CfgVal, value)

    def __iter__(self) -> Iterator[str]:
        for field in _init_fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, StructuredOpts):
                yield from (f"{_key(field)}.{name}" for name in value)
            elif not self._is_absent_group(field, value):
                yield _key(field)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __or__(self, other: Mapping[str, CfgVal]) -> dict[str, CfgVal]:
        return {**self, **other}

    def _find(self, key: object) -> object:
        if not isinstance(key, str):
            return _ABSENT
        fields = _init_fields(type(self))
        for matches in (_is_name, _is_alias):
            for field in fields:
                if matches(field, key):
                    return getattr(self, field.name)
        head, _, rest = key.partition(".")
        group = self._find(head) if rest else None
        return group._find(rest) if isinstance(group, StructuredOpts) else _ABSENT

    def _is_absent_group(self, field: dataclasses.Field[Any], value: object) -> bool:
        return value is None and _group_type(_type_hints(type(self))[field.name]) is not None


_ABSENT: Any = object()


def _init_fields(cls: type[StructuredOpts]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get(CFG_KEY, field.name))


def _spellings(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    return (_key(field), field.name, cases.snake_to_camel(field.name))


def _is_name(field: dataclasses.Field[Any], key: str) -> bool:
    return key in (_key(field), field.name)


def _is_alias(field: dataclasses.Field[Any], key: str) -> bool:
    return key in _spellings(field) or cases.camel_to_snake(key) == field.name


def _has_factory(field: dataclasses.Field[Any]) -> bool:
    return field.default_factory is not dataclasses.MISSING


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and not _has_factory(field)


def _is_extension(field: dataclasses.Field[Any]) -> bool:
    return IS_EXTENSION.items() <= field.metadata.items()


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default


class _Leaf(typing.NamedTuple):
    """One option that is no group, seen from the outermost class."""

    key: str
    path: str
    hint: Any
    default: Any
    is_required: bool
    is_extension: bool


def _leaves(cls: type[StructuredOpts]) -> Iterator[_Leaf]:
    hints = _type_hints(cls)
    for field in _init_fields(cls):
        hint = hints[field.name]
        group = _group_type(hint)
        if group is None:
            yield _Leaf(
                key=_key(field),
                path=field.name,
                hint=_without_none(hint),
                default=_default(field),
                is_required=_is_required(field),
                is_extension=_is_extension(field),
            )
            continue
        for leaf in _leaves(group):
            yield leaf._replace(
                key=f"{_key(field)}.{leaf.key}",
                path=f"{field.name}.{leaf.path}",
                # A group that may be left out requires nothing of those who leave it out.
                is_required=leaf.is_required and _is_required(field),
                is_extension=leaf.is_extension or _is_extension(field),
            )


def _group_from_cfg(
    field: dataclasses.Field[Any],
    group: type[StructuredOpts],
    cfg: Mapping[str, CfgVal],
) -> Any:
    given: dict[str, CfgVal] = {}
    for prefix in reversed(_spellings(field)):
        start = prefix + "."
        given.update({key[len(start) :]: cfg[key] for key in cfg if key.startswith(start)})
    if _is_required(field):
        return group.from_cfg(given)
    given = _what_was_asked_for(group, given)
    return group.from_cfg(given) if given else _ABSENT


def _what_was_asked_for(
    group: type[StructuredOpts], given: Mapping[str, CfgVal]
) -> dict[str, CfgVal]:
    """Drops from a group that may be left out what only resolving the run config filled in."""
    leaves = list(_leaves(group))
    if all(leaf.key in given and given[leaf.key] == leaf.default for leaf in leaves):
        return {}
    required = {leaf.key for leaf in leaves if leaf.is_required}
    return {key: value for key, value in given.items() if value is not None or key not in required}


def _type_hints(cls: type[StructuredOpts]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:
        return {field.name: _type_hint(cls, field) for field in dataclasses.fields(cls)}


def _type_hint(cls: type[StructuredOpts], field: dataclasses.Field[Any]) -> Any:
    """Resolves one annotation; one that names what only a type checker sees, by the default."""
    owner = next(base for base in cls.__mro__ if field.name in inspect.get_annotations(base))
    scope = vars(sys.modules[owner.__module__])
    holder = types.SimpleNamespace(__annotations__={field.name: field.type})
    try:
        return typing.get_type_hints(holder, scope, dict(vars(owner)))[field.name]
    except NameError:
        factory: object = field.default_factory
        if isinstance(factory, type):
            return factory
        return str if _default(field) is None else type(_default(field))


def _union_members(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _is_optional(hint: Any) -> bool:
    return type(None) in _union_members(hint)


def _without_none(hint: Any) -> Any:
    members = [member for member in _union_members(hint) if member is not type(None)]
    return functools.reduce(operator.or_, members) if members else hint


def _group_type(hint: Any) -> type[StructuredOpts] | None:
    bare = _without_none(hint)
    return bare if isinstance(bare, type) and issubclass(bare, StructuredOpts) else None
