"""``torchx log``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO, TypedDict

from torchx.cli.cmd_base import SubCommand
from torchx.cli.failures import fail
from torchx.cli.json_output import Failure, add_json_option, note_failure
from torchx.cli.log_identifier import ID_FORMAT, LogIdentifier
from torchx.cli.log_output import LogOutput, aligned_width
from torchx.runner import get_runner
from torchx.schedulers.api import Stream
from torchx.specs.api import is_started
from torchx.util.colors import ENDC, GREEN, color_code
from torchx.util.log_tee_helpers import _find_role_replicas as find_role_replicas
from torchx.util.log_tee_helpers import _prefix_line
from torchx.util.records import record

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from queue import Queue

    from torchx.runner.api import Runner

__all__ = [
    "ENDC",
    "GREEN",
    "ID_FORMAT",
    "CmdLog",
    "_prefix_line",
    "find_role_replicas",
    "get_logs",
    "print_log_lines",
    "validate",
]

logger: logging.Logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_MALFORMED = "MalformedAppHandleException"
_APPS_HINT = "see which apps there are: torchx list"


class _Window(TypedDict, total=False):
    """Limits in time; a scheduler that cannot apply them is not asked to unless they are given."""

    since: datetime
    until: datetime


class _Form(TypedDict, total=False):
    """How logs are shown, if not in the published form."""

    prefix: bool
    output_dir: Path
    as_json: bool


def validate(job_identifier: str) -> None:
    """Ends the process if a text does not name logs.

    Args:
        job_identifier: A text in the form of :data:`ID_FORMAT`.

    Raises:
        SystemExit: It has another form.
    """
    if LogIdentifier.parse(job_identifier) is None:
        _exit_malformed(job_identifier)


def get_logs(
    file: TextIO,
    identifier: str,
    regex: str | None,
    should_tail: bool = False,
    runner: Runner | None = None,
    streams: Stream | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    prefix: bool = True,
    output_dir: Path | None = None,
    as_json: bool = False,
) -> bool:
    """Writes the logs of an app, a role or some replicas, merged line by line.

    Waits for the app to start first, unless replicas are named.

    Args:
        file: Where the lines go.
        identifier: What to show, in the form of :data:`ID_FORMAT`.
        regex: Shows only lines in which this is found.
        should_tail: Goes on until the app has ended.
        runner: The runner to ask; a new one by default.
        streams: Which stream of the replicas; None leaves the choice to the scheduler.
        since: Shows only what was written at or after this moment.
        until: Shows only what was written before this moment.
        prefix: Begins each line with ``ROLE/REPLICA``.
        output_dir: Writes one file per replica there instead, without prefixes.
        as_json: Writes each line as a JSON object that tells role and replica.

    Returns:
        False if there is no such app (which is logged as well), else True.

    Raises:
        SystemExit: The identifier is malformed, or the app has no such role.
        BrokenPipeError: Nobody reads the pipe any more that ``file`` writes to.
        Exception: What reading the first of the failed replicas raised; the others are shown to
            their end all the same.
    """
    target = LogIdentifier.parse(identifier)
    if target is None:
        _exit_malformed(identifier)
    query = _Query(target, regex, should_tail, streams, _window(since, until))
    with contextlib.ExitStack() as owned:
        runner = runner or owned.enter_context(get_runner())
        logs = [
            (role, replica, _lines(runner, query, role, replica))
            for role, replica in _replicas(runner, target)
        ]
        if logs and output_dir is not None:
            _write_files(output_dir, logs)
        elif logs and as_json:
            _write_json(LogOutput(file), logs, streams)
        elif logs:
            _write_merged(LogOutput(file), logs, prefix)
    return bool(logs)


def print_log_lines(
    file: TextIO,
    runner: Runner,
    app_handle: str,
    role_name: str,
    replica_id: int,
    regex: str | None,
    should_tail: bool,
    exceptions: Queue[Exception],
    streams: Stream | None,
) -> None:
    """Writes the log of one replica line by line, for callers with a thread per replica.

    Args:
        file: Where the lines go, each after ``ROLE/REPLICA``.
        runner: The runner to ask.
        app_handle: Handle of the app.
        role_name: Name of the role.
        replica_id: Number of the replica.
        regex: Shows only lines in which this is found.
        should_tail: Goes on until the app has ended.
        exceptions: Gets the error, if there is one.
        streams: Which stream of the replica; None leaves the choice to the scheduler.

    Raises:
        Exception: What reading the log raised. That nobody reads ``file`` any more is no error.
    """
    green, end = color_code("GREEN", file), color_code("ENDC", file)
    prefix = f"{green}{role_name}/{replica_id}{end} "
    try:
        for line in runner.log_lines(
            app_handle, role_name, replica_id, regex, should_tail=should_tail, streams=streams
        ):
            print(_prefix_line(prefix, line), file=file, end="", flush=True)
    except BrokenPipeError:
        logger.debug("nobody reads the log of %s/%s any more", role_name, replica_id)
    except Exception as error:
        exceptions.put(error)
        raise


class CmdLog(SubCommand):
    """Prints the logs of an app, or follows them until it has ended."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        from pathlib import Path

        add = subparser.add_argument
        add(
            "--regex",
            type=_pattern,
            help="show only lines in which this regular expression is found",
        )
        add("-t", "--tail", action="store_true", help="go on until the app has ended")
        add(
            "--since",
            type=_moment,
            metavar="TIME",
            help="show what was written since then: 10m, 2h30m or 1d ago, or an ISO date and time",
        )
        add("--until", type=_moment, metavar="TIME", help="show what was written before then")
        add(
            "--streams",
            type=Stream,
            choices=list(Stream),
            metavar="{stdout,stderr,combined}",
            help="which output of the replicas to show; by default what the scheduler prefers",
        )
        add("--no-prefix", action="store_true", help="do not begin lines with ROLE/REPLICA")
        form = subparser.add_mutually_exclusive_group()
        form.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="DIR",
            help="write one file per replica into this directory, DIR/ROLE-REPLICA.log",
        )
        add_json_option(form, "print one JSON object for each line")
        add(
            "identifier",
            type=str,
            metavar=ID_FORMAT,
            help="handle of the app, or the beginning of the id of a job that was launched from"
            " here; a role and replicas of it are separated by /",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Prints the logs.

        Args:
            args: The options and ``identifier``.

        Raises:
            SystemExit: There is no such app or role.
        """
        if args.since and args.until and args.since >= args.until:
            fail("--since is not before --until", hint="give the earlier time as --since")
        form = _Form()
        if args.no_prefix:
            form["prefix"] = False
        if args.output is not None:
            form["output_dir"] = args.output
        if args.json:
            form["as_json"] = True
        with get_runner() as runner:
            found = get_logs(
                sys.stdout,
                _completed(args.identifier),
                args.regex,
                args.tail,
                runner=runner,
                streams=args.streams,
                **_window(args.since, args.until),
                **form,
            )
        if found is False:
            note_failure(
                Failure("UnknownAppException", f"app `{args.identifier}` was not found", _APPS_HINT)
            )
            sys.exit(1)


_Log = tuple[str, int, Iterable[str]]


@record
class _Query:
    """What is asked of every replica."""

    target: LogIdentifier
    regex: str | None
    should_tail: bool
    streams: Stream | None
    window: _Window


def _completed(identifier: str) -> str:
    """Completes the shortened handle at the beginning of an identifier."""
    if "://" in identifier:
        return identifier
    from torchx.runner.remembered import find_handle

    app_id, slash, rest = identifier.partition("/")
    return find_handle(app_id) + slash + rest


def _window(since: datetime | None, until: datetime | None) -> _Window:
    window = _Window()
    if since is not None:
        window["since"] = since
    if until is not None:
        window["until"] = until
    return window


def _exit_malformed(identifier: str) -> NoReturn:
    fail(f"`{identifier}` does not name logs", hint=f"give {ID_FORMAT}", type=_MALFORMED)


def _replicas(runner: Runner, target: LogIdentifier) -> list[tuple[str, int]]:
    """Lists the replicas to show; none if the app does not exist."""
    if target.role is not None and target.replica_ids:
        return [(target.role, replica) for replica in target.replica_ids]
    if not _wait_for_app_started(runner, target.app_handle):
        return []
    app = runner.describe(target.app_handle)
    if app is None:
        raise LookupError(f"app `{target.app_handle}` was removed while its logs were looked for")
    replicas = find_role_replicas(app, target.role)
    if not replicas:
        identifiers = ", ".join(f"{target.app_handle}/{role.name}" for role in app.roles)
        fail(
            f"app `{target.app_handle}` has no replicas of role `{target.role}`",
            hint=f"choose one of {identifiers}",
            type="UnknownRole",
        )
    return replicas


def _wait_for_app_started(runner: Runner, app_handle: str) -> bool:
    """Waits until an app runs or has ended; returns False if there is no such app."""
    pause_s = _FIRST_PAUSE_S
    while True:
        status = runner.status(app_handle)
        if status is None:
            logger.warning(
                "app `%s` was not found",
                app_handle,
                extra={"word": "error", "hint": _APPS_HINT},
            )
            return False
        if is_started(status.state):
            return True
        if pause_s == _FIRST_PAUSE_S:
            logger.info("Waiting for app `%s` to start before logging...", app_handle)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _lines(runner: Runner, query: _Query, role: str, replica: int) -> Iterable[str]:
    """Opens one log; that it cannot be opened is reported in its turn, like a failed read."""
    try:
        return runner.log_lines(
            query.target.app_handle,
            role,
            replica,
            query.regex,
            should_tail=query.should_tail,
            streams=query.streams,
            **query.window,
        )
    except Exception as error:
        return _raising(error)


def _raising(error: Exception) -> Iterator[str]:
    yield from ()
    raise error


def _write_merged(output: LogOutput, logs: list[_Log], with_prefix: bool) -> None:
    from torchx.schedulers.merge import follow_all

    names = [f"{role}/{replica}" for role, replica, _ in logs]
    width = aligned_width(names)
    prefixes = [output.prefix(name, width) if with_prefix else b"" for name in names]
    lines = [stream for _, _, stream in logs]
    try:
        follow_all(list(zip(prefixes, lines, strict=True)), output.write)
    except BrokenPipeError:
        # `torchx log ... | head` ends with the exit code of a closed pipe; a file that somebody
        # handed in just takes no more.
        if output.is_stream:
            raise


def _write_json(output: LogOutput, logs: list[_Log], streams: Stream | None) -> None:
    from torchx.cli.log_json import JsonLines
    from torchx.schedulers.merge import copy_all

    lines = JsonLines(output, None if streams is None else str(streams.value))
    copy_all([(lines.writer(role, replica), stream) for role, replica, stream in logs])
    lines.finish()


def _write_files(directory: Path, logs: list[_Log]) -> None:
    from torchx.schedulers.merge import copy_all

    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        copies = []
        for role, replica, stream in logs:
            path = directory / f"{role.replace('/', '_')}-{replica}.log"
            copies.append((_flushing(files.enter_context(path.open("wb"))), stream))
        copy_all(copies)


def _flushing(file: BinaryIO) -> Callable[[bytes], object]:
    def write(block: bytes) -> None:
        file.write(block)
        file.flush()

    return write


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"`{text}` is no regular expression: {error}") from None
    return text


def _moment(text: str) -> datetime:
    from torchx.util.durations import parse_moment

    try:
        return parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
