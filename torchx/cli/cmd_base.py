"""What a sub-command of ``torchx`` is."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import argparse

    from torchx.runner.api import Runner


class SubCommand(abc.ABC):
    """One sub-command.

    Packages register subclasses in the entry-point group ``torchx.cli.cmds``; the class is called
    without arguments. It needs nothing but an ``argparse.ArgumentParser`` and can be tested with a
    bare one.
    """

    @abc.abstractmethod
    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """

    @abc.abstractmethod
    def run(self, args: argparse.Namespace) -> None:
        """Does the work; returning normally is success.

        Args:
            args: What the parser made of the command line.
        """


class AppHandleSubCommand(SubCommand):
    """A sub-command about one app, which it names by its handle."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the positional argument ``app_handle``.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "app_handle",
            type=str,
            help="handle of the app, as `torchx run` prints it (SCHEDULER://SESSION/APP_ID), or the"
            " beginning of the id of a job that was launched from here",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Calls :meth:`run_with_runner` with a runner that is closed afterwards.

        Args:
            args: What the parser made of the command line.
        """
        from torchx.runner import get_runner

        if "://" not in args.app_handle:
            from torchx.runner.remembered import find_handle

            args.app_handle = find_handle(args.app_handle)
        with get_runner() as runner:
            self.run_with_runner(args, runner)

    @abc.abstractmethod
    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Does the work.

        Args:
            args: What the parser made of the command line.
            runner: An open runner.
        """

    def exit_missing_app(self, app_handle: str) -> NoReturn:
        """Says that an app does not exist and ends the process.

        Args:
            app_handle: The handle that was given.

        Raises:
            SystemExit: Always, with exit code 1.
        """
        from torchx.cli.failures import fail
        from torchx.specs import parse_app_handle

        scheduler, _, app_id = parse_app_handle(app_handle)
        fail(
            f"app `{app_id}` does not exist on `{scheduler}`, or was removed from its records",
            hint=f"list the apps that are known there: torchx list -s {scheduler}",
            type="UnknownAppException",
        )


def is_missing(runner: Runner, app_handle: str) -> bool:
    """Tells whether an app is known not to exist, before something is done to it.

    Args:
        runner: The runner to ask.
        app_handle: Handle of the app.

    Returns:
        True if the scheduler answered that there is no such app. A failed look-up gives False: it
        must not stop a cancel, and the call that follows reports the failure itself.
    """
    import logging

    try:
        return runner.status(app_handle) is None
    except Exception:
        logging.getLogger(__name__).debug("look-up of `%s` failed", app_handle, exc_info=True)
        return False
