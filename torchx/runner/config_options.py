"""Run options of one scheduler, merged from the environment and from files."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from torchx.settings import ENV_TORCHX_CFG_PREFIX
from torchx.util.config_file import DEFAULT_SECTION, PLACEHOLDER, ConfigFile, ConfigFileError
from torchx.util.records import record
from torchx.util.redact import REDACTED, is_secret_name

if TYPE_CHECKING:
    from torchx.specs import CfgVal, runopt, runopts

NONE_TEXT = "None"
"""Text that stands for None."""

FROM_ENVIRONMENT = "environment"
"""Origin of an option that a variable holds."""

_NOT_IN_NAMES = "[^A-Z0-9]"

log: logging.Logger = logging.getLogger("torchx.runner.config")


class UnknownOption(NamedTuple):
    """An option that the scheduler does not have.

    Attributes:
        path: File that holds it, or ``environment``.
        section: Section that holds it, or the variable.
        name: The option as written.
        closest: The registered option with the most similar name, if any is similar.
    """

    path: str
    section: str
    name: str
    closest: str | None

    def __str__(self) -> str:
        hint = f", did you mean `{self.closest}`?" if self.closest else ""
        if self.path == FROM_ENVIRONMENT:
            return f"environment variable {self.section}: unknown run option{hint}"
        return f"{self.path}, section [{self.section}]: unknown run option `{self.name}`{hint}"


class FoundOption(NamedTuple):
    """The value of an option, and where it was found.

    Attributes:
        value: The value.
        origin: For example ``/home/me/.torchxconfig [slurm]``.
    """

    value: CfgVal
    origin: str


@record
class OptionLayer:
    """What one source says about the options of one scheduler.

    Attributes:
        values: Option as written -> text.
        path: File, or ``environment``.
        heading: The section.
        inherited: What the section takes over from ``[DEFAULT]``.
        variables: The variable that holds each option, if the environment is the source.
    """

    values: Mapping[str, str]
    path: str
    heading: str
    inherited: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Returns where an option comes from, for people.

        Args:
            name: The option as written.

        Returns:
            For example ``/home/me/.torchxconfig [slurm]``.
        """
        if name in self.variables:
            return f"{self.path} {self.variables[name]}"
        return f"{self.path} [{self._section_of(name)}]"

    def where(self, name: str) -> str:
        """Returns the words by which messages name an option.

        Args:
            name: The option as written.

        Returns:
            Text such as ``.torchxconfig, section [slurm], option `time```.
        """
        if name in self.variables:
            return f"environment variable {self.variables[name]}"
        return f"{self.path}, section [{self._section_of(name)}], option `{name}`"

    def unknown(self, opts: runopts) -> Iterator[UnknownOption]:
        """Finds options that the scheduler does not have.

        Args:
            opts: The options of the scheduler.

        Yields:
            Each unknown option.
        """
        for name, closest in opts.unknown_keys(dict(self.values)).items():
            if name in self.variables and closest:
                closest = variable_of(self.heading, closest)
            heading = self.variables.get(name, self.heading)
            yield UnknownOption(self.path, heading, name, closest)

    def _section_of(self, name: str) -> str:
        return DEFAULT_SECTION if name in self.inherited else self.heading


def layer_of_file(scheduler: str, file: ConfigFile) -> OptionLayer:
    """Returns what a file says about a scheduler.

    Args:
        scheduler: Name of the scheduler and of the section.
        file: The file.

    Returns:
        The layer.
    """
    own = file.options(scheduler)
    everything = file.options(scheduler, with_defaults=True)
    inherited = {name: text for name, text in everything.items() if name not in own}
    return OptionLayer(own, file.source, file.heading(scheduler), inherited)


def variable_of(scheduler: str, option: str) -> str:
    """Returns the environment variable that holds a run option.

    Args:
        scheduler: Name of the scheduler.
        option: Name of the option.

    Returns:
        For example ``TORCHX_CFG_SLURM_PARTITION``.
    """
    return _prefix_of(scheduler) + _in_capitals(option)


def variables_for(
    scheduler: str, schedulers: Collection[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Finds the variables that hold run options of a scheduler.

    Args:
        scheduler: Name of the scheduler.
        schedulers: Names of all schedulers; one of a longer name claims its variables for itself.
        environ: The environment.

    Returns:
        Variable -> text.
    """
    prefix = _prefix_of(scheduler)
    longer = tuple(p for p in map(_prefix_of, schedulers) if p != prefix and p.startswith(prefix))
    return {
        name: text
        for name, text in environ.items()
        if name.startswith(prefix) and not (longer and name.startswith(longer))
    }


def layer_of_environment(
    scheduler: str, variables: Mapping[str, str], opts: runopts
) -> OptionLayer:
    """Returns what the environment says about a scheduler.

    Args:
        scheduler: Name of the scheduler.
        variables: Its variables, see `variables_for`.
        opts: The options of the scheduler.

    Returns:
        The layer. An option that the scheduler does not have goes by its name in small letters.
    """
    names = {variable_of(scheduler, name): name for name, _ in opts}
    prefix = _prefix_of(scheduler)
    options = {var: names.get(var, var[len(prefix) :].lower()) for var in variables}
    return OptionLayer(
        values={options[var]: text for var, text in variables.items()},
        path=FROM_ENVIRONMENT,
        heading=scheduler,
        variables={option: var for var, option in options.items()},
    )


def merge(
    opts: runopts, layers: list[OptionLayer], given: Collection[str] = ()
) -> dict[str, FoundOption]:
    """Merges layers; the first one that has an option wins.

    Args:
        opts: The options of the scheduler.
        layers: The layers, the one that wins first.
        given: Options that are not looked for, in any spelling.

    Returns:
        Registered name -> found option. A left-over placeholder is reported and counts as None,
        unless a later layer has a value.

    Raises:
        ConfigFileError: A value does not fit its option.
    """
    taken = {registered_name(opts, name) or name for name in given}
    found: dict[str, FoundOption] = {}
    unset: dict[str, FoundOption] = {}
    for layer in layers:
        for written, text in {**layer.inherited, **layer.values}.items():
            name = registered_name(opts, written)
            if name is None or name in taken:
                continue
            if text.startswith(PLACEHOLDER):
                _warn_of_placeholder(layer, written)
                unset.setdefault(name, FoundOption(None, layer.origin(written)))
                continue
            found[name] = FoundOption(_cast(layer, written, text, opts), layer.origin(written))
            taken.add(name)
    return {**unset, **found}


def registered_name(opts: runopts, written: str) -> str | None:
    """Returns the name under which the scheduler registered what a file or caller spells so.

    Args:
        opts: The options of the scheduler.
        written: The spelling.

    Returns:
        The name, or None if there is no such option.
    """
    option = opts.get(written)
    if option is None:
        return None
    return next((name for name, registered in opts if registered is option), written)


def _prefix_of(scheduler: str) -> str:
    return f"{ENV_TORCHX_CFG_PREFIX}{_in_capitals(scheduler)}_"


def _in_capitals(name: str) -> str:
    return re.sub(_NOT_IN_NAMES, "_", name.upper())


def _cast(layer: OptionLayer, name: str, text: str, opts: runopts) -> CfgVal:
    if text == NONE_TEXT:
        return None
    option: runopt | None = opts.get(name)
    assert option is not None, f"{name} was looked up before"
    try:
        return option.cast_to_type(text)
    except (ValueError, TypeError, IndexError) as error:
        from torchx.specs import get_type_name

        expected = get_type_name(option.opt_type)
        is_secret = is_secret_name(name)
        told = REDACTED if is_secret else f"`{text}`"
        raise ConfigFileError(
            f"{layer.where(name)}: {told} is no {expected}",
            hint=f"give it a value of type {expected}, or remove it",
        ) from (None if is_secret else error)


def _warn_of_placeholder(layer: OptionLayer, name: str) -> None:
    log.warning(
        "%s still holds its %s placeholder and counts as not set; replace it with a value",
        layer.where(name),
        PLACEHOLDER,
    )
