"""What ``torchx plugins`` shows, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torchx.plugins.inventory import Clash, Failure, Inventory, Plugin, take_inventory
from torchx.util.redact import redact_text


def plugin_report() -> dict[str, Any]:
    """Finds all plugins, imports them and tells what became of it.

    Returns:
        ``sources``, where plugins are looked for; ``plugins``, what is used;
        ``collisions``, pairs of a ``winner`` and a ``loser`` of one name; ``failures``, what is not
        used, with its ``error``. A plugin has ``type``, ``name``, ``style``, ``module``, ``file``,
        ``distribution``, ``version``, ``aliases`` and ``fractionals``; what is not known is None.
    """
    from torchx.cli.cmd_base import SubCommand

    def no_command(loaded: object) -> str | None:
        if isinstance(loaded, type) and issubclass(loaded, SubCommand):
            return None
        return "it is no class derived from torchx.cli.cmd_base.SubCommand"

    return _as_data(take_inventory(_builtins(), {"command": no_command}))


def _builtins() -> Mapping[str, Mapping[str, str]]:
    from torchx import specs
    from torchx.cli.main import get_default_sub_cmds
    from torchx.runner.events.handlers import _log_handlers
    from torchx.schedulers import DEFAULT_SCHEDULER_MODULES

    return {
        "scheduler": DEFAULT_SCHEDULER_MODULES,
        "named_resource": {
            name: factory.__module__
            for table in (specs.GENERIC_NAMED_RESOURCES, specs.AWS_NAMED_RESOURCES)
            for name, factory in table.items()
        },
        "command": {name: f"torchx.cli.cmd_{name}" for name in get_default_sub_cmds()},
        "event_handler": dict.fromkeys(_log_handlers, "torchx.runner.events.handlers"),
    }


def _as_data(inventory: Inventory) -> dict[str, Any]:
    return {
        "sources": inventory.sources,
        "plugins": [_plugin(plugin) for plugin in inventory.plugins],
        "collisions": [_clash(clash) for clash in inventory.collisions],
        "failures": [_failure(failure) for failure in inventory.failures],
    }


def _plugin(plugin: Plugin) -> dict[str, Any]:
    data = dataclasses.asdict(plugin)
    del data["origin"]
    return {**data, **plugin.origin._asdict()}


def _clash(clash: Clash) -> dict[str, Any]:
    return {"winner": _plugin(clash.winner), "loser": _plugin(clash.loser)}


def _failure(failure: Failure) -> dict[str, Any]:
    data = dataclasses.asdict(failure)
    del data["origin"]
    return {**data, "error": redact_text(failure.error), **failure.origin._asdict()}
