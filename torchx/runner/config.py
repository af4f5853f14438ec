"""Reads ``.torchxconfig``: run options, component defaults, CLI defaults and trackers.

Files are looked for in the working directory (the project's file) and in the home directory, in
this order; for each option the first file that has it wins. ``TORCHXCONFIG`` names the only file to
read instead, or, set to nothing, switches files off. Overall: explicit argument > environment >
project file > home file > default in the code.

========================  ======================================================================
section                   holds
========================  ======================================================================
``[SCHEDULER]``           run options of that scheduler
``[component:NAME]``      defaults of a component's parameters
``[cli:COMMAND]``         defaults of a sub-command's options
``[torchx:tracker]``      one option per tracker, named like it
``[tracker:NAME]``        ``config`` of that tracker
========================  ======================================================================

The syntax is described in `torchx.runner.config_file`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from torchx.runner.config_file import PLACEHOLDER, ConfigFile, ConfigFileError, parse, read, where
from torchx.schedulers import get_scheduler_factories
from torchx.settings import ENV_TORCHXCONFIG
from torchx.util.redact import REDACTED, is_secret_name

if TYPE_CHECKING:
    from torchx.schedulers import SchedulerFactory
    from torchx.schedulers.api import Scheduler
    from torchx.specs import CfgVal, runopt, runopts

__all__ = [
    "CONFIG_FILE",
    "CONFIG_PREFIX_DELIM",
    "DEFAULT_CONFIG_DIRS",
    "ENV_TORCHXCONFIG",
    "ConfigFileError",
    "UnknownOption",
    "apply",
    "find_configs",
    "get_config",
    "get_configs",
    "load",
    "load_sections",
    "require_known_options",
    "unknown_options",
]

CONFIG_FILE = ".torchxconfig"
"""Name of the file in each directory."""

CONFIG_PREFIX_DELIM = ":"
"""Separates the kind of a section from its name."""

DEFAULT_CONFIG_DIRS: list[str]
"""Where files are looked for: working directory, then home, as they are when this is read.

Assign a list to replace them.
"""

_NONE = "None"
_ORCHESTRATOR_GROUP = "torchx.schedulers.orchestrator"
_LIKELY_TYPO = 0.8

log: logging.Logger = logging.getLogger(__name__)


def __getattr__(name: str) -> list[str]:
    if name == "DEFAULT_CONFIG_DIRS":
        return _current_dirs()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class UnknownOption(NamedTuple):
    """An option in a file that the scheduler does not have.

    Attributes:
        path: File that holds it.
        section: Section that holds it.
        name: The option as written.
        closest: The registered option with the most similar name, if any is similar.
    """

    path: str
    section: str
    name: str
    closest: str | None

    def __str__(self) -> str:
        hint = f", did you mean `{self.closest}`?" if self.closest else ""
        return f"{self.path}, section [{self.section}]: unknown run option `{self.name}`{hint}"


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
    only = os.environ.get(ENV_TORCHXCONFIG)
    if only is not None:
        if not only:
            return []
        if not os.path.exists(only) or os.path.isdir(only):
            raise FileNotFoundError(
                f"{ENV_TORCHXCONFIG}={only} names no existing file; "
                f"correct it, or unset it to search for {CONFIG_FILE}"
            )
        return [only]
    paths = (os.path.join(folder, CONFIG_FILE) for folder in dirs or _default_dirs())
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]


def load_sections(prefix: str, dirs: list[str] | None = None) -> dict[str, dict[str, str]]:
    """Returns all sections of one kind, merged over all files.

    Args:
        prefix: What stands before the ``:`` of their names, for instance ``component``.
        dirs: See `find_configs`.

    Returns:
        What stands behind the ``:`` -> option -> value. Options of ``[DEFAULT]`` are not repeated
        in each section; they only serve references.
    """
    merged: dict[str, dict[str, str]] = {}
    for path in find_configs(dirs):
        content = read(path)
        for section in content.sections:
            kind, _, name = section.partition(CONFIG_PREFIX_DELIM)
            if kind and kind == prefix and name:
                merged[name] = {**content.options(section), **merged.get(name, {})}
    return merged


def get_configs(prefix: str, name: str, dirs: list[str] | None = None) -> dict[str, str]:
    """Returns the section ``[PREFIX:NAME]``, merged over all files.

    Args:
        prefix: Kind of the section.
        name: Name of the section.
        dirs: See `find_configs`.

    Returns:
        Option -> value, empty if no file has the section.
    """
    return load_sections(prefix, dirs).get(name, {})


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
    """Fills the gaps of run options from the files.

    Args:
        scheduler: Name of the scheduler, which is also the name of the section.
        cfg: Run options. Missing ones are added in place; present ones always stay.
        dirs: See `find_configs`.

    Raises:
        ValueError: There is no such scheduler, or a value does not fit its option.
    """
    _check_registered(scheduler)
    paths = find_configs(dirs)
    files = [read(path) for path in paths]
    for path in paths:
        log.info("loading configs from %s", path)
    _fill(scheduler, files, cfg)


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
    _fill(scheduler, [parse(f.read(), source if isinstance(source, str) else CONFIG_FILE)], cfg)


def unknown_options(scheduler: str, dirs: list[str] | None = None) -> list[UnknownOption]:
    """Returns the options in the files that a scheduler does not have.

    Args:
        scheduler: Name of the scheduler.
        dirs: See `find_configs`.

    Returns:
        One entry per option and file, in the order of the files.

    Raises:
        ValueError: There is no such scheduler.
    """
    _check_registered(scheduler)
    files = [read(path) for path in find_configs(dirs)]
    if not any(scheduler in file.sections for file in files):
        return []
    opts = _run_opts(scheduler)
    return [option for file in files for option in _unknown_in(scheduler, file, opts)]


def require_known_options(scheduler: str, dirs: list[str] | None = None) -> None:
    """Raises if the files hold options that a scheduler does not have.

    `apply` only warns about those. A command line, where a person waits for the answer, calls this
    first.

    Args:
        scheduler: Name of the scheduler.
        dirs: See `find_configs`.

    Raises:
        ConfigFileError: Some option is unknown; the message names each with the closest match.
        ValueError: There is no such scheduler.
    """
    unknown = unknown_options(scheduler, dirs)
    if unknown:
        raise ConfigFileError(
            "; ".join(map(str, unknown)),
            hint=f"`torchx runopts {scheduler}` shows the options that {scheduler} has",
        )


def _default_dirs() -> list[str]:
    replaced: list[str] | None = globals().get("DEFAULT_CONFIG_DIRS")
    return _current_dirs() if replaced is None else replaced


def _current_dirs() -> list[str]:
    # Neither a deleted working directory nor a user id without a home has a file to offer.
    try:
        dirs = [os.getcwd()]
    except OSError:
        dirs = []
    home = os.path.expanduser("~")
    if home != "~" and home not in dirs:
        dirs.append(home)
    return dirs


def _factories() -> dict[str, SchedulerFactory]:
    from torchx.util import entrypoints

    factories = dict(get_scheduler_factories())
    factories.update(entrypoints.load_group(_ORCHESTRATOR_GROUP) or {})
    return factories


def _check_registered(scheduler: str) -> None:
    names = list(_factories())
    if scheduler not in names:
        raise ValueError(f"`{scheduler}` is no registered scheduler, must be one of: {names}")


def _get_scheduler(name: str) -> Scheduler[Any]:
    _check_registered(name)
    return _factories()[name](session_name="_")


def _run_opts(scheduler: str) -> runopts:
    instance = _get_scheduler(scheduler)
    try:
        return instance.run_opts()
    finally:
        instance.close()


def _fill(scheduler: str, files: list[ConfigFile], cfg: dict[str, CfgVal]) -> None:
    for file in files:
        _warn_of_misspelt_section(scheduler, file)
    holding = [file for file in files if scheduler in file.sections]
    if not holding:
        return
    opts = _run_opts(scheduler)
    given = {_registered_name(opts, name) or name for name in cfg}
    unset: list[str] = []
    for file in holding:
        for unknown in _unknown_in(scheduler, file, opts):
            log.warning("%s (ignored)", unknown)
        for written, text in file.options(scheduler, with_defaults=True).items():
            name = _registered_name(opts, written)
            if name is None or name in given:
                continue
            if text.startswith(PLACEHOLDER):
                _warn_of_placeholder(file, scheduler, written)
                unset.append(name)
                continue
            cfg[name] = _cast(file, scheduler, written, text, opts)
            given.add(name)
    for name in unset:
        cfg.setdefault(name, None)


def _registered_name(opts: runopts, written: str) -> str | None:
    """Returns the name under which the scheduler registered what a file or caller spells so."""
    option = opts.get(written)
    if option is None:
        return None
    return next((name for name, registered in opts if registered is option), written)


def _unknown_in(scheduler: str, file: ConfigFile, opts: runopts) -> Iterator[UnknownOption]:
    written = file.sections.get(scheduler, {})
    for name, closest in opts.unknown_keys(written).items():
        yield UnknownOption(file.source, scheduler, name, closest)


def _cast(file: ConfigFile, section: str, name: str, text: str, opts: runopts) -> CfgVal:
    if text == _NONE:
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
            f"{where(file.source, section, name)}: {told} is no {expected}",
            hint=f"write a value of type {expected}, or remove the line",
        ) from (None if is_secret else error)


def _warn_of_placeholder(file: ConfigFile, section: str, name: str) -> None:
    log.warning(
        "%s still holds its %s placeholder and counts as not set; replace it with a value",
        where(file.source, section, name),
        PLACEHOLDER,
    )


def _warn_of_misspelt_section(scheduler: str, file: ConfigFile) -> None:
    import difflib

    plain = [name for name in file.sections if CONFIG_PREFIX_DELIM not in name]
    if scheduler in plain:
        return
    for section in difflib.get_close_matches(scheduler, plain, n=1, cutoff=_LIKELY_TYPO):
        if section not in _factories():
            log.warning(
                "%s: section [%s] belongs to no scheduler, did you mean [%s]? (ignored)",
                file.source,
                section,
                scheduler,
            )
