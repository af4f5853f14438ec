"""Reads and writes ``.torchxconfig``: run options, component and CLI defaults, trackers, hardware.

Files are looked for in the working directory (the project's file) and in the home directory, in
this order; for each option the first file that has it wins. ``TORCHXCONFIG`` names the only file to
read instead, or, set to nothing, switches files off. Overall: explicit argument > environment >
profile > project file > home file > default in the code.

============================  ==================================================================
section                       holds
============================  ==================================================================
``[SCHEDULER]``               run options of that scheduler
``[component:NAME]``          defaults of a component's parameters
``[cli:COMMAND]``             defaults of a sub-command's options
``[torchx:tracker]``          one option per tracker, named like it
``[tracker:NAME]``            ``config`` of that tracker
``[resource:NAME]``           a named resource: ``cpu``, ``gpu``, ``memMB``, ...
``[profile:NAME]``            defaults of ``torchx run`` while that profile is in use
``[profile:NAME:SECTION]``    what stands before ``[SECTION]`` while that profile is in use
============================  ==================================================================

The environment holds run options as ``TORCHX_CFG_<SCHEDULER>_<OPTION>``, in capital letters. The
syntax of files is described in `torchx.util.config_file`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from torchx.errors import TorchXError
from torchx.schedulers import get_scheduler_factories
from torchx.settings import ENV_TORCHXCONFIG
from torchx.util import config_layers
from torchx.util.config_file import ConfigFile, ConfigFileError, parse
from torchx.util.config_layers import CONFIG_FILE, CONFIG_PREFIX_DELIM, use_profile
from torchx.util.strings import closest_match

if TYPE_CHECKING:
    from torchx.runner.config_options import FoundOption, OptionLayer, UnknownOption
    from torchx.schedulers import SchedulerFactory
    from torchx.schedulers.api import Scheduler
    from torchx.specs import CfgVal, runopts

__all__ = [
    "CONFIG_FILE",
    "CONFIG_PREFIX_DELIM",
    "DEFAULT_CONFIG_DIRS",
    "ENV_TORCHXCONFIG",
    "ConfigFileError",
    "EffectiveOption",
    "UnknownOption",
    "apply",
    "dump",
    "effective_options",
    "find_configs",
    "get_config",
    "get_configs",
    "load",
    "load_sections",
    "require_known_options",
    "unknown_options",
    "use_profile",
]

DEFAULT_CONFIG_DIRS: list[str]
"""Where files are looked for: working directory, then home, as they are when this is read.

Assign a list to replace them.
"""

_ORCHESTRATOR_GROUP = "torchx.schedulers.orchestrator"
_LIKELY_TYPO = 0.8
_DEFAULT = "default"
_NOT_SET = "not set"

log: logging.Logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    if name == "DEFAULT_CONFIG_DIRS":
        return config_layers.current_dirs()
    if name == "UnknownOption":
        from torchx.runner.config_options import UnknownOption

        return UnknownOption
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class UnregisteredSchedulerError(TorchXError, ValueError):
    """Options were asked for of a scheduler that is not registered.

    Args:
        scheduler: Its name.
        names: Names of those that are.
    """

    def __init__(self, scheduler: str, names: list[str]) -> None:
        closest = closest_match(scheduler, names)
        super().__init__(
            f"`{scheduler}` is no registered scheduler, must be one of: {names}",
            hint=f"did you mean `{closest}`?" if closest else "name one of those",
        )


class EffectiveOption(NamedTuple):
    """The value that a run option has unless a job is told another one.

    Attributes:
        name: Name of the option.
        value: The value.
        origin: The file and section, or the variable, that it comes from; ``default``, or, for a
            required option without value, ``not set``.
        help: What the option is for.
        is_flag: Whether it is a truth value.
    """

    name: str
    value: CfgVal
    origin: str
    help: str
    is_flag: bool


def find_configs(dirs: Iterable[str] | None = None) -> list[str]:
    """Returns the files to read, the one with the highest priority first.

    Args:
        dirs: Directories to look in; by default `DEFAULT_CONFIG_DIRS`. Ignored if the environment
            variable ``TORCHXCONFIG`` names a file.

    Returns:
        Paths of existing, readable files. Empty if ``TORCHXCONFIG`` is set to nothing.

    Raises:
        FileNotFoundError: ``TORCHXCONFIG`` names something that is no file.
    """
    return config_layers.find_configs(dirs)


def load_sections(prefix: str, dirs: list[str] | None = None) -> dict[str, dict[str, str]]:
    """Returns all sections of one kind, merged over all files.

    Args:
        prefix: What stands before the ``:`` of their names, for instance ``component``.
        dirs: See `find_configs`.

    Returns:
        What stands behind the ``:`` -> option -> value. Options of ``[DEFAULT]`` are not repeated
        in each section; they only serve references.
    """
    return {
        name: _values(f"{prefix}{CONFIG_PREFIX_DELIM}{name}", dirs)
        for name in config_layers.sections_of_kind(prefix, dirs)
    }


def get_configs(prefix: str, name: str, dirs: list[str] | None = None) -> dict[str, str]:
    """Returns the section ``[PREFIX:NAME]``, merged over all files.

    Args:
        prefix: Kind of the section.
        name: Name of the section.
        dirs: See `find_configs`.

    Returns:
        Option -> value, empty if no file has the section.
    """
    return _values(f"{prefix}{CONFIG_PREFIX_DELIM}{name}", dirs) if prefix and name else {}


def get_config(prefix: str, name: str, key: str, dirs: list[str] | None = None) -> str | None:
    """Returns one option of the section ``[PREFIX:NAME]``.

    Args:
        prefix: Kind of the section.
        name: Name of the section.
        key: Name of the option.
        dirs: See `find_configs`.

    Returns:
        Its value, or None if no file has it.
    """
    return get_configs(prefix, name, dirs).get(key)


def apply(scheduler: str, cfg: dict[str, CfgVal], dirs: list[str] | None = None) -> None:
    """Fills the gaps of run options from the environment and from the files.

    Args:
        scheduler: Name of the scheduler, which is also the name of the section.
        cfg: Run options. Missing ones are added in place; present ones always stay.
        dirs: See `find_configs`.

    Raises:
        ValueError: There is no such scheduler, or a value does not fit its option.
    """
    _check_registered(scheduler)
    files = config_layers.layers(dirs)
    for path in dict.fromkeys(file.source for file in files):
        log.info("loading configs from %s", path)
    _fill(scheduler, files, cfg, os.environ)


def load(scheduler: str, f: TextIO, cfg: dict[str, CfgVal]) -> None:
    """Fills the gaps of run options from one open file.

    Options that the scheduler does not have are skipped with a warning. A value that is exactly
    ``None`` means None; a left-over ``#FIXME`` placeholder counts as not set, and is said to.

    Args:
        scheduler: Name of the scheduler, which is also the name of the section.
        f: The open file.
        cfg: Run options. Missing ones are added in place; present ones always stay.

    Raises:
        ValueError: There is no such scheduler, or a value does not fit its option.
    """
    _check_registered(scheduler)
    source = getattr(f, "name", None)
    file = parse(f.read(), source if isinstance(source, str) else CONFIG_FILE)
    _fill(scheduler, [file], cfg, {})


def effective_options(scheduler: str, dirs: list[str] | None = None) -> list[EffectiveOption]:
    """Returns the value of every run option, and where each comes from.

    Args:
        scheduler: Name of the scheduler.
        dirs: See `find_configs`.

    Returns:
        One entry per option, in the order in which the scheduler registers them. Values are as
        they are; show them only through `torchx.util.redact`.

    Raises:
        ValueError: There is no such scheduler, or a value does not fit its option.
    """
    from torchx.runner.config_options import FoundOption, merge

    _check_registered(scheduler)
    opts = _run_opts(scheduler)
    found = merge(opts, _option_layers(scheduler, config_layers.layers(dirs), os.environ, opts))
    return [
        EffectiveOption(
            name,
            *found.get(
                name, FoundOption(option.default, _NOT_SET if option.is_required else _DEFAULT)
            ),
            help=" ".join(option.help.split()),
            is_flag=option.opt_type is bool,
        )
        for name, option in opts
    ]


def unknown_options(scheduler: str, dirs: list[str] | None = None) -> list[UnknownOption]:
    """Returns the options in the environment and in the files that a scheduler does not have.

    Args:
        scheduler: Name of the scheduler.
        dirs: See `find_configs`.

    Returns:
        One entry per option and source, in the order of precedence.

    Raises:
        ValueError: There is no such scheduler.
    """
    _check_registered(scheduler)
    files = config_layers.layers(dirs)
    if not _is_configured(scheduler, files, os.environ):
        return []
    opts = _run_opts(scheduler)
    found = _option_layers(scheduler, files, os.environ, opts)
    return [unknown for layer in found for unknown in layer.unknown(opts)]


def require_known_options(scheduler: str, dirs: list[str] | None = None) -> None:
    """Raises if there are options that a scheduler does not have, or if its section is misspelt.

    `apply` only warns about those. A command line, where a person waits for the answer, calls this
    first.

    Args:
        scheduler: Name of the scheduler.
        dirs: See `find_configs`.

    Raises:
        ConfigFileError: Some option is unknown, the section is misspelt, or there is no profile of
            the chosen name; the message or its hint names the closest match.
        ValueError: There is no such scheduler.
    """
    config_layers.require_profile(dirs)
    problems = [str(option) for option in unknown_options(scheduler, dirs)]
    for file in config_layers.layers(dirs):
        problems += _misspelt_sections(scheduler, file)
    if problems:
        raise ConfigFileError(
            "; ".join(problems),
            hint=f"`torchx runopts {scheduler}` shows the options that {scheduler} has",
        )


def dump(f: TextIO, schedulers: list[str] | None = None, required_only: bool = False) -> None:
    """Writes a template of a ``.torchxconfig``: one section per scheduler.

    Required options hold a ``#FIXME`` placeholder with their type and help, optional ones their
    default. A scheduler that lacks what it needs is left out with a warning.

    Args:
        f: Where to write.
        schedulers: Names of schedulers, in order; by default all.
        required_only: Leave optional options out.

    Raises:
        ValueError: There is no such scheduler; nothing has been written.
    """
    from torchx.runner.config_template import render

    f.write("".join(render(*section) for section in template_options(schedulers, required_only)))


def template_options(
    schedulers: list[str] | None = None, required_only: bool = False
) -> list[tuple[str, dict[str, str]]]:
    """Returns what `dump` writes.

    Args:
        schedulers: Names of schedulers, in order; by default all.
        required_only: Leave optional options out.

    Returns:
        Pairs of a scheduler and its option -> text.

    Raises:
        ValueError: There is no such scheduler.
    """
    from torchx.runner.config_template import option_texts

    names = list(_factories()) if schedulers is None else schedulers
    for name in names:
        _check_registered(name)
    sections = []
    for name in names:
        try:
            sections.append((name, option_texts(_run_opts(name), required_only)))
        except ModuleNotFoundError as error:
            log.warning("scheduler `%s` is left out: %s", name, error)
    return sections


def _values(section: str, dirs: list[str] | None) -> dict[str, str]:
    found = config_layers.settings(section, dirs)
    return {option: setting.value for option, setting in found.items()}


def _factories() -> dict[str, SchedulerFactory]:
    from torchx.util import entrypoints

    factories = dict(get_scheduler_factories())
    factories.update(entrypoints.load_group(_ORCHESTRATOR_GROUP) or {})
    return factories


def _check_registered(scheduler: str) -> None:
    names = list(_factories())
    if scheduler not in names:
        raise UnregisteredSchedulerError(scheduler, names)


def _get_scheduler(name: str) -> Scheduler[Any]:
    _check_registered(name)
    return _factories()[name](session_name="_")


def _run_opts(scheduler: str) -> runopts:
    instance = _get_scheduler(scheduler)
    try:
        return instance.run_opts()
    finally:
        instance.close()


def _is_configured(scheduler: str, files: list[ConfigFile], environ: Mapping[str, str]) -> bool:
    from torchx.runner.config_options import variables_for

    in_files = any(scheduler in file.sections for file in files)
    return in_files or bool(variables_for(scheduler, list(_factories()), environ))


def _option_layers(
    scheduler: str, files: list[ConfigFile], environ: Mapping[str, str], opts: runopts
) -> list[OptionLayer]:
    from torchx.runner.config_options import layer_of_environment, layer_of_file, variables_for

    variables = variables_for(scheduler, list(_factories()), environ)
    of_environment = [layer_of_environment(scheduler, variables, opts)] if variables else []
    of_files = [layer_of_file(scheduler, file) for file in files if scheduler in file.sections]
    return of_environment + of_files


def _fill(
    scheduler: str, files: list[ConfigFile], cfg: dict[str, CfgVal], environ: Mapping[str, str]
) -> None:
    for file in files:
        for problem in _misspelt_sections(scheduler, file):
            log.warning("%s (ignored)", problem)
    if not _is_configured(scheduler, files, environ):
        return
    opts = _run_opts(scheduler)
    found = _option_layers(scheduler, files, environ, opts)
    for layer in found:
        for unknown in layer.unknown(opts):
            log.warning("%s (ignored)", unknown)
    from torchx.runner.config_options import merge

    merged: dict[str, FoundOption] = merge(opts, found, cfg)
    cfg.update({name: option.value for name, option in merged.items()})


def _misspelt_sections(scheduler: str, file: ConfigFile) -> list[str]:
    problems = config_layers.misspelt_headings(file)
    plain = [name for name in file.sections if CONFIG_PREFIX_DELIM not in name]
    section = closest_match(scheduler, plain, cutoff=_LIKELY_TYPO)
    if section is not None and scheduler not in plain and section not in _factories():
        heading = file.heading(section)
        problems.append(
            f"{file.source}: section [{heading}] belongs to no scheduler,"
            f" did you mean [{heading.removesuffix(section)}{scheduler}]?"
        )
    return problems
