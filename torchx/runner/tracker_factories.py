"""Factories of trackers that ``.torchxconfig`` names, for trackers that no package registers."""

from __future__ import annotations

import os
from collections.abc import Iterable

from torchx.runner.config import get_configs
from torchx.settings import tracker_env


def tracker_factories(names: Iterable[str]) -> dict[str, str]:
    """Returns the factories of those trackers that name one.

    A factory is the value of a tracker in ``[torchx:tracker]``, if that is of the form
    ``package.module:function`` (other values mean nothing), or what
    ``TORCHX_TRACKER_<NAME>_FACTORY`` holds instead.

    Args:
        names: Names of the trackers.

    Returns:
        Factory by name.
    """
    names = list(names)
    in_file = get_configs(prefix="torchx", name="tracker") if names else {}
    factories = {
        name: os.environ.get(tracker_env(name, "FACTORY"), in_file.get(name, "")).strip()
        for name in names
    }
    return {name: factory for name, factory in factories.items() if ":" in factory}
