"""Checks of ``[component:NAME]`` sections, for the component that is about to run."""

from __future__ import annotations

from torchx.cli.component_words import parser_of
from torchx.util import config_layers
from torchx.util.config_file import ConfigFileError
from torchx.util.strings import closest_match

_KIND = "component"
_LIKELY_TYPO = 0.8


def require_known_defaults(component: str) -> None:
    """Raises if files hold defaults of a component that it has no parameters for.

    Args:
        component: Name of the component, as on the command line.

    Raises:
        ConfigFileError: A parameter is unknown, or the name in the section is misspelt.
    """
    found = config_layers.settings(f"{_KIND}:{component}")
    if not found:
        _reject_misspelt_section(component)
        return
    parser = parser_of(component)
    if parser is None:
        return
    for name, setting in found.items():
        if name not in parser.parameters:
            closest = closest_match(name, parser.parameters)
            advice = f"did you mean `{closest}`? " if closest else ""
            raise ConfigFileError(
                f"{setting.where(name)} is no parameter of `{component}`",
                hint=f"{advice}see `torchx run {component} --help`",
            )


def _reject_misspelt_section(component: str) -> None:
    # Two functions of one file often have similar names; those of packages seldom do.
    names = [name for name in config_layers.sections_of_kind(_KIND) if ":" not in name]
    misspelt = closest_match(component, names, cutoff=_LIKELY_TYPO)
    if misspelt is not None and misspelt != component and parser_of(misspelt) is None:
        raise ConfigFileError(
            f"{config_layers.place_of(f'{_KIND}:{misspelt}')} belongs to no component",
            hint=f"did you mean [{_KIND}:{component}]?",
        )
