"""``torchx tracker``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import Any

from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import add_json_option, print_json
from torchx.cli.tables import print_table
from torchx.errors import TorchXError
from torchx.runner.api import get_configured_trackers
from torchx.runner.tracker_factories import tracker_factories
from torchx.tracker.api import SupportsMetrics, TrackerBase, build_trackers

logger: logging.Logger = logging.getLogger(__name__)

_HINT = (
    "name trackers in section [torchx:tracker] of .torchxconfig, or in the environment variable"
    " TORCHX_TRACKERS; see docs/tracking.md"
)


class TrackerChoiceError(TorchXError, RuntimeError):
    """No tracker is configured, or none of that name, or it cannot answer."""


class CmdTracker(SubCommand):
    """Shows what runs have told their trackers."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the sub-commands.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.set_defaults(func=self.run, help_of=subparser)
        verbs = subparser.add_subparsers(title="tracker commands", metavar="COMMAND")
        verb = verbs.add_parser("list", help="list runs, and what is known about one")
        verb.set_defaults(func=self.run, help_of=verb)
        lists = verb.add_subparsers(title="what to list", metavar="WHAT")
        self.add_list_jobs_arguments(lists.add_parser("jobs", help="runs"))
        self.add_list_metadata_arguments(
            lists.add_parser("metadata", help="parameters and other facts about a run")
        )
        self.add_list_metrics_arguments(lists.add_parser("metrics", help="curves of a run"))
        self.add_list_artifacts_arguments(
            lists.add_parser("artifacts", help="what a run has made, such as checkpoints")
        )
        self.add_list_lineage_arguments(
            lists.add_parser("lineage", help="what a run was made from, and what from it")
        )

    def run(self, args: argparse.Namespace) -> None:
        """Says which questions there are; the sub-commands answer them.

        Args:
            args: ``help_of``, the parser of the words that were given.
        """
        args.help_of.print_help()

    @property
    def tracker(self) -> TrackerBase:
        """The first tracker that is configured.

        Raises:
            RuntimeError: None is configured, or it cannot be found.
        """
        configured = get_configured_trackers()
        # One after the other: the second may be slow to make, and is not needed.
        for choice in [{name: config} for name, config in configured.items()] or [configured]:
            for tracker in build_trackers(choice, tracker_factories(choice), strict=True):
                logger.info("asking tracker %s", tracker)
                return tracker
        raise TrackerChoiceError("no tracker is configured that can be found", hint=_HINT)

    def tracker_named(self, name: str | None) -> TrackerBase:
        """Returns a tracker.

        Args:
            name: Its name; None for the first that is configured.

        Returns:
            The tracker.

        Raises:
            RuntimeError: It is not configured, or it cannot be found.
        """
        if name is None:
            return self.tracker
        configured = get_configured_trackers()
        if name not in configured:
            known = ", ".join(f"`{known}`" for known in configured) or "none"
            raise TrackerChoiceError(
                f"tracker `{name}` is not configured; configured: {known}", hint=_HINT
            )
        choice = {name: configured[name]}
        for tracker in build_trackers(choice, tracker_factories(choice), strict=True):
            return tracker
        raise TrackerChoiceError(f"tracker `{name}` cannot be found", hint=_HINT)

    def add_list_jobs_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments of ``list jobs``.

        Args:
            subparser: The parser of that command alone.
        """
        subparser.add_argument(
            "--parent-run-id", type=str, help="only runs that were made from this one"
        )
        _finish(subparser, self.list_jobs_command)

    def add_list_metadata_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments of ``list metadata``.

        Args:
            subparser: The parser of that command alone.
        """
        _add_run_id(subparser)
        _finish(subparser, self.list_metadata_command)

    def add_list_metrics_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments of ``list metrics``.

        Args:
            subparser: The parser of that command alone.
        """
        subparser.add_argument("--metric", type=str, help="only the curve of this name")
        _add_run_id(subparser)
        _finish(subparser, self.list_metrics_command)

    def add_list_artifacts_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments of ``list artifacts``.

        Args:
            subparser: The parser of that command alone.
        """
        subparser.add_argument("--artifact", type=str, help="only the artifact of this name")
        _add_run_id(subparser)
        _finish(subparser, self.list_artifacts_command)

    def add_list_lineage_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments of ``list lineage``.

        Args:
            subparser: The parser of that command alone.
        """
        only = subparser.add_mutually_exclusive_group()
        only.add_argument("--sources-only", action="store_true", help="only what it was made from")
        only.add_argument(
            "--descendants-only", action="store_true", help="only what was made from it"
        )
        subparser.add_argument(
            "--artifact", type=str, help="only links by the artifact of this name"
        )
        # Optional for the parser: `list lineage` alone is refused when it is run.
        subparser.add_argument("RUN_ID", type=str, nargs="?", help="id of the run")
        subparser.set_defaults(subparser=subparser)
        _finish(subparser, self.list_lineage_command)

    def list_jobs_command(self, args: argparse.Namespace) -> None:
        """Prints the ids of runs.

        Args:
            args: ``parent_run_id``.
        """
        # Trackers are published to be called with None here.
        conditions: dict[str, Any] = {"parent_run_id": args.parent_run_id or None}
        jobs = list(self.tracker_named(args.tracker).run_ids(**conditions))
        if args.json:
            print_json("tracker_jobs", {"jobs": jobs})
        else:
            print_table(["JOB ID"], [[run_id] for run_id in jobs])

    def list_metadata_command(self, args: argparse.Namespace) -> None:
        """Prints what is known about a run.

        Args:
            args: ``RUN_ID``.
        """
        metadata = self.tracker_named(args.tracker).metadata(args.RUN_ID)
        if args.json:
            print_json("tracker_metadata", {"run_id": args.RUN_ID, "metadata": dict(metadata)})
        else:
            print_table(["ID", "VALUE"], [[key, str(value)] for key, value in metadata.items()])

    def list_metrics_command(self, args: argparse.Namespace) -> None:
        """Prints the curves of a run.

        Args:
            args: ``RUN_ID`` and ``metric``.

        Raises:
            RuntimeError: The tracker keeps no curves.
        """
        tracker = self.tracker_named(args.tracker)
        if not isinstance(tracker, SupportsMetrics):
            raise TrackerChoiceError(
                f"{tracker!r} keeps no curves",
                hint="the newest values are shown by: torchx tracker list metadata RUN_ID",
            )
        curves = {
            name: points
            for name, points in tracker.metrics(args.RUN_ID).items()
            if args.metric in (None, name)
        }
        if args.json:
            print_json("tracker_metrics", {"run_id": args.RUN_ID, "metrics": curves})
            return
        rows = [
            [name, _text(point.step), str(point.value)]
            for name, curve in curves.items()
            for point in curve
        ]
        print_table(["METRIC", "STEP", "VALUE"], rows)

    def list_artifacts_command(self, args: argparse.Namespace) -> None:
        """Prints what a run has made.

        Args:
            args: ``RUN_ID`` and ``artifact``.
        """
        artifacts = [
            artifact
            for artifact in self.tracker_named(args.tracker).artifacts(args.RUN_ID).values()
            if args.artifact in (None, artifact.name)
        ]
        if args.json:
            print_json("tracker_artifacts", {"run_id": args.RUN_ID, "artifacts": artifacts})
        else:
            rows = [[each.name, each.path, _text(each.metadata)] for each in artifacts]
            print_table(["ARTIFACT", "PATH", "METADATA"], rows)

    def list_lineage_command(self, args: argparse.Namespace) -> None:
        """Prints what a run was made from, and what was made from it.

        Args:
            args: ``RUN_ID``, ``sources_only``, ``descendants_only`` and ``artifact``.

        Raises:
            SystemExit: No run is named.
        """
        if not args.RUN_ID:
            args.subparser.error("the id of a run is required: torchx tracker list lineage RUN_ID")
        lineage = self.tracker_named(args.tracker).lineage(args.RUN_ID)
        sources = [] if args.descendants_only else list(lineage.sources)
        descendants = [] if args.sources_only else list(lineage.descendants)
        links = [
            *(("source", each.source_run_id, each.artifact_name) for each in sources),
            *(("descendant", each.run_id, each.artifact_name) for each in descendants),
        ]
        links = [link for link in links if args.artifact in (None, link[2])]
        if args.json:
            keys = ("relation", "run_id", "artifact")
            lineage_links = [dict(zip(keys, link, strict=True)) for link in links]
            print_json("tracker_lineage", {"run_id": args.RUN_ID, "lineage": lineage_links})
        else:
            rows = [[relation, run_id, artifact or ""] for relation, run_id, artifact in links]
            print_table(["RELATION", "RUN ID", "ARTIFACT"], rows)


def _add_run_id(subparser: argparse.ArgumentParser) -> None:
    subparser.add_argument("RUN_ID", type=str, help="id of the run, normally the handle of the app")


def _finish(
    subparser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], None]
) -> None:
    subparser.add_argument(
        "--tracker", type=str, help="name of the tracker to ask; default: the first configured one"
    )
    add_json_option(subparser)
    subparser.set_defaults(func=command)


def _text(value: object) -> str:
    return "" if value is None else str(value)
