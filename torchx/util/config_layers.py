"""Which ``.torchxconfig`` files and which profile of them are in use, and what they say together.

The layers, the one that wins first: the profile of the project's file, the profile of the file in
the home directory, the project's file, the file in the home directory. `torchx.runner.config` is
the public interface; this module is what layers below the runner may use as well.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torchx.settings import ENV_TORCHX_PROFILE, ENV_TORCHXCONFIG
from torchx.util.config_file import DEFAULT_SECTION, ConfigFile, ConfigFileError, read
from torchx.util.strings import closest_match

CONFIG_FILE = ".torchxconfig"
"""Name of the file in each directory."""

CONFIG_PREFIX_DELIM = ":"
"""Separates the kind of a section from its name."""

_PROFILE_KIND = "profile"
_KINDS = ("component", "cli", "torchx", "tracker", "resource", _PROFILE_KIND)
_LIKELY_TYPO = 0.8
_SECTION_OF_BARE_PROFILE = "cli:run"

_profile: str | None = None
_reported_profile: str | None = None

logger: logging.Logger = logging.getLogger(__name__)


class Setting(NamedTuple):
    """The value of an option, and where it was found.

    Attributes:
        value: Its text, references replaced.
        source: Path of the file.
        heading: What stands in the brackets above it there.
    """

    value: str
    source: str
    heading: str

    def where(self, option: str) -> str:
        """Returns the words by which messages name the option.

        Args:
            option: Name of the option.

        Returns:
            Text such as ``.torchxconfig, section [slurm], option `time```.
        """
        return f"{self.source}, section [{self.heading}], option `{option}`"


def default_dirs() -> list[str]:
    """Returns where files are looked for.

    Returns:
        The working directory, then the home directory, or what somebody assigned to
        ``torchx.runner.config.DEFAULT_CONFIG_DIRS`` instead.
    """
    public = sys.modules.get("torchx.runner.config")
    replaced: list[str] | None = vars(public).get("DEFAULT_CONFIG_DIRS") if public else None
    return current_dirs() if replaced is None else replaced


def current_dirs() -> list[str]:
    """Returns the working directory and the home directory, as far as they exist.

    Returns:
        One or two directories, or none.
    """
    # Neither a deleted working directory nor a user id without a home has a file to offer.
    try:
        dirs = [os.getcwd()]
    except OSError:
        dirs = []
    home = os.path.expanduser("~")
    if home != "~" and home not in dirs:
        dirs.append(home)
    return dirs


def find_configs(dirs: Iterable[str] | None = None) -> list[str]:
    """Returns the files to read, see `torchx.runner.config.find_configs`.

    Args:
        dirs: Directories to look in, by default `default_dirs`.

    Returns:
        Paths of existing, readable files.

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
    paths = (os.path.join(folder, CONFIG_FILE) for folder in dirs or default_dirs())
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]


def use_profile(name: str | None) -> None:
    """Chooses the profile that this process uses, whatever ``TORCHX_PROFILE`` says.

    Args:
        name: What stands behind ``profile:`` in the names of its sections; None goes back to
            ``TORCHX_PROFILE``, and ``""`` means no profile.
    """
    global _profile
    _profile = name


def profile_in_use() -> str:
    """Returns the profile that this process uses.

    Returns:
        What `use_profile` chose, else the value of ``TORCHX_PROFILE``, else ``""``.
    """
    return os.environ.get(ENV_TORCHX_PROFILE, "").strip() if _profile is None else _profile


def layers(dirs: Iterable[str] | None = None) -> list[ConfigFile]:
    """Reads the files.

    Args:
        dirs: See `find_configs`.

    Returns:
        What to look options up in, the one that wins first.

    Raises:
        ConfigFileError: A file cannot be read.
    """
    files = [read(path) for path in find_configs(dirs)]
    name = profile_in_use()
    if not name:
        return files
    overlays = [overlay for file in files if (overlay := profile_of(file, name)) is not None]
    if not overlays:
        _report_unknown_profile(name, files)
    return [*overlays, *files]


def profile_of(file: ConfigFile, name: str) -> ConfigFile | None:
    """Returns what one profile of a file says.

    Args:
        file: The file.
        name: Name of the profile.

    Returns:
        The sections ``[profile:NAME:SECTION]`` under the names ``SECTION``, and ``[profile:NAME]``
        as ``cli:run``; None if the file has no such profile.
    """
    sections: dict[str, Mapping[str, str]] = {}
    headings: dict[str, str] = {}
    for heading, options in file.sections.items():
        kind, profile, section = split_profile(heading)
        if kind == _PROFILE_KIND and profile == name:
            target = section or _SECTION_OF_BARE_PROFILE
            sections[target] = {**sections.get(target, {}), **options}
            headings[target] = heading
    if not sections:
        return None
    if DEFAULT_SECTION in file.sections:
        sections.setdefault(DEFAULT_SECTION, file.sections[DEFAULT_SECTION])
    return ConfigFile(file.source, sections, headings, inherits=False)


def split_profile(heading: str) -> tuple[str, str, str]:
    """Takes the name of a section apart.

    Args:
        heading: For example ``profile:gpu:component:dist.ddp``.

    Returns:
        Kind, name of the profile, and the section that stands behind it (``""`` for
        ``profile:gpu``).
    """
    kind, _, rest = heading.partition(CONFIG_PREFIX_DELIM)
    profile, _, section = rest.partition(CONFIG_PREFIX_DELIM)
    return kind, profile, section


def profile_names(files: Iterable[ConfigFile]) -> list[str]:
    """Returns the profiles that files define.

    Args:
        files: The files.

    Returns:
        Their names, each once, in the order of the files.
    """
    found = (split_profile(heading) for file in files for heading in file.sections)
    return list(dict.fromkeys(name for kind, name, _ in found if kind == _PROFILE_KIND and name))


def require_profile(dirs: Iterable[str] | None = None) -> None:
    """Raises if the profile in use is not defined; elsewhere that is only warned about.

    Args:
        dirs: See `find_configs`.

    Raises:
        ConfigFileError: No file defines it; the message names the closest one.
    """
    name = profile_in_use()
    if name:
        names = profile_names([read(path) for path in find_configs(dirs)])
        if name not in names:
            raise ConfigFileError(
                f"no configuration file defines the profile `{name}`",
                hint=_profile_hint(name, names),
            )


def settings(section: str, dirs: Iterable[str] | None = None) -> dict[str, Setting]:
    """Returns the options of one section, merged over all layers.

    Args:
        section: Name of the section, such as ``cli:run``.
        dirs: See `find_configs`.

    Returns:
        Option -> setting, empty if no file has the section.

    Raises:
        ConfigFileError: A file cannot be read.
    """
    merged: dict[str, Setting] = {}
    for layer in layers(dirs):
        for option, value in layer.options(section).items():
            merged.setdefault(option, Setting(value, layer.source, layer.heading(section)))
    return merged


def sections_of_kind(kind: str, dirs: Iterable[str] | None = None) -> list[str]:
    """Returns the sections whose names begin with ``KIND:``.

    Args:
        kind: For example ``component``.
        dirs: See `find_configs`.

    Returns:
        What stands behind the ``:``, each once.

    Raises:
        ConfigFileError: A file cannot be read.
    """
    found = (name.partition(CONFIG_PREFIX_DELIM) for one in layers(dirs) for name in one.sections)
    return list(
        dict.fromkeys(name for before, _, name in found if before and before == kind and name)
    )


def place_of(section: str, dirs: Iterable[str] | None = None) -> str:
    """Returns the words by which messages name a section.

    Args:
        section: Name of the section.
        dirs: See `find_configs`.

    Returns:
        Text such as ``.torchxconfig, section [slurm]``, with the file that wins.

    Raises:
        ConfigFileError: A file cannot be read.
    """
    holding = (layer for layer in layers(dirs) if section in layer.sections)
    layer = next(holding, None)
    prefix = f"{layer.source}, " if layer else ""
    return f"{prefix}section [{layer.heading(section) if layer else section}]"


def misspelt_headings(file: ConfigFile) -> list[str]:
    """Finds sections whose kind is probably misspelt; other tools may have sections of their own.

    Args:
        file: The file, or what a profile of it says.

    Returns:
        One sentence for each.
    """
    problems = []
    for section in file.sections:
        kind, delimiter, name = section.partition(CONFIG_PREFIX_DELIM)
        closest = closest_match(kind, _KINDS, cutoff=_LIKELY_TYPO) if delimiter else None
        meant = f"{closest}:{name}" if closest and closest != kind else None
        if kind == "torchx" and name != "tracker" and closest_match(name, ["tracker"]):
            meant = "torchx:tracker"
        if meant:
            problems.append(
                f"{file.source}: section [{file.heading(section)}] is unknown,"
                f" did you mean [{file.heading(section).removesuffix(section)}{meant}]?"
            )
    return problems


def _report_unknown_profile(name: str, files: list[ConfigFile]) -> None:
    global _reported_profile
    if _reported_profile != name:
        _reported_profile = name
        logger.warning(
            "no configuration file defines the profile `%s` (ignored); %s",
            name,
            _profile_hint(name, profile_names(files)),
        )


def _profile_hint(name: str, names: list[str]) -> str:
    closest = closest_match(name, names)
    if closest:
        return f"did you mean `{closest}`?"
    if names:
        return f"there are: {', '.join(names)}"
    return f"define it by a section [profile:{name}]"
