"""Reads a job from a hydra config, for ``utils.hydra``."""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torchx.specs as specs
from torchx.util.redact import redact_data

_MACROS = ("app_id", "replica_id", "rank0_env", "img_root")

# While hydra works, a macro is text that hydra does not take for an interpolation of its own. The
# two characters are of the private use area, so that no config holds them.
_PROTECTED = re.compile("\ue000([a-z0-9_]+)\ue001")


def load_app(config_name: str, config_dir: str, overrides: Sequence[str]) -> specs.AppDef:
    """Composes a config and makes the job that it describes.

    Args:
        config_name: Name of the config, without suffix.
        config_dir: Directory of the configs; a relative one is below the current directory.
        overrides: Overrides in hydra's syntax, ``role.num_replicas=3``.

    Returns:
        The job.

    Raises:
        ImportError: hydra-core is not installed.
        ValueError: The config has no key ``app``, or it makes something else than an AppDef.
    """
    try:
        from hydra import compose, initialize_config_dir
        from hydra.utils import instantiate
        from omegaconf import OmegaConf
    except ModuleNotFoundError as error:
        raise ImportError(
            "utils.hydra needs hydra-core: pip install 'torchx[hydra]'", name=error.name
        ) from error

    for macro in _MACROS:
        OmegaConf.register_new_resolver(f"torchx.{macro}", _resolver(macro), replace=True)
    with initialize_config_dir(config_dir=os.path.abspath(config_dir), version_base="1.3"):
        config = compose(config_name=config_name, overrides=list(overrides))
    if os.getenv("TORCHX_DEBUG"):
        _show(OmegaConf.to_container(config))
    if "app" not in config:
        raise ValueError(
            f"the config {config_name!r} in {config_dir!r} has no key 'app'"
            " (with '_target_: torchx.specs.AppDef')"
        )
    app = instantiate(config.app, _convert_="all")
    if not isinstance(app, specs.AppDef):
        raise ValueError(
            f"'app' of the config {config_name!r} makes a {type(app).__name__}, not an AppDef;"
            " set '_target_: torchx.specs.AppDef'"
        )
    restored: specs.AppDef = _restore(app)
    return restored


def _resolver(macro: str) -> Callable[[], str]:
    return lambda: f"\ue000{macro}\ue001"


def _restore(value: Any) -> Any:
    """Returns a value of any kind in which each protected macro is a macro again."""
    if isinstance(value, str):
        return _PROTECTED.sub(r"${\1}", value)
    if isinstance(value, list):
        return [_restore(item) for item in value]
    if isinstance(value, dict):
        return {_restore(key): _restore(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            setattr(value, field.name, _restore(getattr(value, field.name)))
    return value


def _show(config: object) -> None:
    import yaml

    ruler = "=" * 80
    text = yaml.safe_dump(redact_data(config), sort_keys=False)
    print(ruler, text, ruler, sep="\n", file=sys.stderr)
