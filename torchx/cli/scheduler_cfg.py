"""Options of schedulers as they come from the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.specs import CfgVal, runopts


class SchedulerUnavailableError(TorchXError):
    """A scheduler is known by name, but what it needs is not installed.

    Args:
        scheduler: Name of the scheduler.
        reason: What is missing.
    """

    def __init__(self, scheduler: str, reason: str) -> None:
        super().__init__(
            f"scheduler `{scheduler}` is not available: {reason}",
            hint="use `-s local_cwd` to run on this machine without a container, or install what"
            f" `{scheduler}` needs; `torchx runopts` shows which schedulers are available",
        )


@contextlib.contextmanager
def available_scheduler(scheduler: str) -> Iterator[None]:
    """Says which scheduler could not be used where a module is missing.

    Args:
        scheduler: Name of the scheduler that is used inside.

    Raises:
        SchedulerUnavailableError: A module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SchedulerUnavailableError(scheduler, str(error)) from error


def has_option(runner: Runner, scheduler: str, name: str) -> bool:
    """Tells whether a scheduler has a run option.

    Args:
        runner: The runner to ask.
        scheduler: Name of the scheduler.
        name: Name of the option.

    Returns:
        True if it has.
    """
    return name in dict(runner.scheduler_run_opts(scheduler))


def parse_scheduler_args(options: runopts, scheduler: str, text: str | None) -> dict[str, CfgVal]:
    """Reads the value of ``-cfg``.

    Args:
        options: The options of the scheduler.
        scheduler: Its name.
        text: For example ``queue=short,tags=a;b``; None is as good as empty.

    Returns:
        The options that were given.

    Raises:
        InvalidRunConfigException: The text cannot be read, or names an unknown option.
    """
    from torchx.util.types import to_dict

    try:
        given: Mapping[str, Any] = to_dict(text or "")
    except ValueError:
        given = {}  # reported below, with what was expected
    _reject_unknown(options, scheduler, given)
    return dict(options.cfg_from_str(text or ""))


def parse_scheduler_json(
    options: runopts, scheduler: str, given: Mapping[str, Any]
) -> dict[str, CfgVal]:
    """Reads options of a scheduler that were given as JSON.

    Args:
        options: The options of the scheduler.
        scheduler: Its name.
        given: The JSON object.

    Returns:
        The options that were given.

    Raises:
        InvalidRunConfigException: A value does not fit, or an option is unknown.
    """
    _reject_unknown(options, scheduler, given)
    import json

    return dict(options.cfg_from_json_repr(json.dumps(given)))


def fill_from_config(scheduler: str, cfg: dict[str, CfgVal]) -> None:
    """Adds the options of ``.torchxconfig`` that the command line does not give.

    Args:
        scheduler: Name of the scheduler.
        cfg: The options that were given; filled in place.

    Raises:
        ConfigFileError: A file cannot be read, or names an unknown option.
    """
    from torchx.runner import config

    config.require_known_options(scheduler)
    config.apply(scheduler=scheduler, cfg=cfg)


def _reject_unknown(options: object, scheduler: str, given: Mapping[str, Any]) -> None:
    from torchx.specs.runopts import InvalidRunConfigException, runopts

    # A scheduler of another package may hand out its own kind of options.
    if not isinstance(options, runopts):
        return
    unknown = options.unknown_keys(dict.fromkeys(given))
    if not unknown:
        return
    key, closest = next(iter(unknown.items()))
    advice = f"did you mean `{closest}`? " if closest else ""
    names = ", ".join(f"`{name}`" for name in unknown)
    raise InvalidRunConfigException(
        f"scheduler `{scheduler}` has no option {names}",
        key,
        given,
        hint=f"{advice}see `torchx runopts {scheduler}`",
    )
