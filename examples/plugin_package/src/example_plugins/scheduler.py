"""A scheduler that runs replicas here, one after another, to their end.

It shows how little a scheduler needs: options, a request that can be printed, and five methods.
"""

from __future__ import annotations

import builtins
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from torchx.schedulers.api import (
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
    Stream,
    StructuredOpts,
    filter_regex,
)
from torchx.schedulers.ids import make_unique
from torchx.specs import TORCHX_HOME, AppDef, AppDryRunInfo, AppState, CfgVal, Role, macros, runopts


@dataclass
class Opts(StructuredOpts):
    """Options of the scheduler."""

    greeting: str = ""
    """first line of every log"""


@dataclass
class Request:
    """What is going to be done; it prints as it is."""

    app_id: str
    roles: list[Role]
    greeting: str


class ExampleScheduler(Scheduler[Mapping[str, CfgVal]]):
    """Runs replicas one after another.

    Args:
        session_name: Name under which this client submits apps.
    """

    def __init__(self, session_name: str) -> None:
        super().__init__("example", session_name)

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[Request]:
        greeting = Opts.from_cfg(cfg).greeting
        return AppDryRunInfo(Request(make_unique(app.name), app.roles, greeting), repr)

    def schedule(self, dryrun_info: AppDryRunInfo[Request]) -> str:
        """Runs the app.

        Args:
            dryrun_info: The request.

        Returns:
            Id of the app, which has ended by then.
        """
        request = dryrun_info.request
        directory = TORCHX_HOME("example", request.app_id)
        codes = [
            _run(role, replica, request, directory)
            for role in request.roles
            for replica in range(role.num_replicas)
        ]
        state = AppState.FAILED if any(codes) else AppState.SUCCEEDED
        replicas = {role.name: role.num_replicas for role in request.roles}
        record = {"state": state.name, "replicas": replicas}
        (directory / "app.json").write_text(json.dumps(record))
        return request.app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app.

        Args:
            app_id: Its id.

        Returns:
            Its state and roles; None if there is no such app.
        """
        file = TORCHX_HOME("example") / app_id / "app.json"
        if not file.exists():
            return None
        record = json.loads(file.read_text())
        roles = [Role(name, "", num_replicas=count) for name, count in record["replicas"].items()]
        return DescribeAppResponse(app_id, AppState[record["state"]], roles=roles)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps.

        Args:
            cfg: Not used.

        Returns:
            One entry per app.
        """
        found = (self.describe(path.name) for path in sorted(TORCHX_HOME("example").iterdir()))
        return [ListAppResponse(app.app_id, app.state) for app in found if app is not None]

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        """Reads the log of one replica.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica.
            regex: Keep only lines in which this is found.
            since: Not used.
            until: Not used.
            should_tail: Not used: the app has ended.
            streams: Not used: both are in one file.

        Returns:
            The lines.
        """
        file = TORCHX_HOME("example") / app_id / f"{role_name}-{k}.log"
        lines = file.read_text().splitlines(keepends=True)
        return filter_regex(regex, lines) if regex else lines

    def _cancel_existing(self, app_id: str) -> None:
        """Does nothing: an app has ended before anybody knows its id."""


def create_scheduler(session_name: str, **kwargs: object) -> ExampleScheduler:
    """Creates the scheduler; torchx calls this.

    Args:
        session_name: Name under which the client submits apps.
        kwargs: Parameters of other schedulers.

    Returns:
        The scheduler.
    """
    return ExampleScheduler(session_name)


def _run(role: Role, replica: int, request: Request, directory: Path) -> int:
    values = macros.Values(
        img_root=role.image,
        app_id=request.app_id,
        replica_id=str(replica),
        rank0_env="TORCHX_RANK0_HOST",
    )
    mine = values.apply(role)
    with (directory / f"{role.name}-{replica}.log").open("w") as log:
        log.write(f"{request.greeting}\n" if request.greeting else "")
        log.flush()
        return subprocess.run(
            [mine.entrypoint, *mine.args],
            env={**os.environ, "TORCHX_RANK0_HOST": "localhost", **mine.env},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
