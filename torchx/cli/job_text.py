"""A remembered job for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from torchx.util import shell
from torchx.util.redact import REDACTED

if TYPE_CHECKING:
    from torchx.runner.store import RememberedJob


def job_data(job: RememberedJob) -> dict[str, Any]:
    """Returns what JSON output says about a remembered job.

    Args:
        job: The job.

    Returns:
        Its keys and values.
    """
    launch = job.launch
    return {
        "handle": job.handle,
        "app_id": job.app_id,
        "scheduler": job.scheduler,
        "name": job.name,
        "state": job.state.name,
        "reason": job.reason,
        "is_confirmed": job.is_confirmed,
        "submitted_at": _iso(job.submitted_at_s),
        "state_seen_at": None if job.state_seen_at_s is None else _iso(job.state_seen_at_s),
        "component": launch.component,
        "component_args": launch.component_args,
        "cfg": dict(job.cfg),
        "workspace": launch.workspace,
        "sources": list(job.sources),
        "log_location": job.log_location,
        "cwd": job.cwd,
        "user": job.user,
        "host": job.host,
        "torchx_version": job.torchx_version,
        "command": relaunch_command(job),
    }


def launch_lines(job: RememberedJob) -> Iterator[str]:
    """Tells how a job was launched.

    Args:
        job: The job.

    Yields:
        Lines such as ``launched   2026-01-31 12:00:00 by ada on laptop, from /home/ada/app``.
    """
    moment = datetime.fromtimestamp(job.submitted_at_s).strftime("%Y-%m-%d %H:%M:%S")
    place = f", from {job.cwd}" if job.cwd else ""
    yield f"launched   {moment} by {job.user} on {job.host}{place}"
    state = f"{job.state.name}: {job.reason}" if job.reason else job.state.name
    yield f"state      {state}"
    if job.launch.workspace:
        yield f"workspace  {job.launch.workspace}"
    for source in job.sources:
        yield f"code       {_source_text(source)}"
    if job.log_location:
        yield f"logs       {job.log_location}"
    yield f"again      {relaunch_command(job)}"


def relaunch_command(job: RememberedJob) -> str:
    """Returns the command that would launch a job again.

    Args:
        job: The job.

    Returns:
        One line for a POSIX shell. Secrets in it have to be filled in.
    """
    launch = job.launch
    if launch.component is None:
        return shell.join(["torchx", "rerun", job.handle or job.name])
    if isinstance(launch.component_args, dict) and launch.component_args:
        return _stdin_command(job, launch.component, launch.component_args)
    words = ["torchx", "run", "-s", job.scheduler]
    options = _cfg_text(job)
    if options:
        words += ["-cfg", options]
    if launch.workspace and launch.workspace.removeprefix("file://") != job.cwd:
        words += ["--workspace", launch.workspace]
    for name in launch.secrets:
        words += ["--secret-env", name]
    if launch.parent_run_id:
        words += ["--parent_run_id", launch.parent_run_id]
    words += [launch.component, *launch.component_args]
    return _in_directory(job, shell.join(words))


def _stdin_command(job: RememberedJob, component: str, values: dict[str, Any]) -> str:
    call = {
        "scheduler": job.scheduler,
        "scheduler_args": _given_cfg(job),
        "component_name": component,
        "component_args": values,
    }
    text = shell.quote(json.dumps(call, default=str))
    return _in_directory(job, f"printf %s {text} | torchx run --stdin")


def _in_directory(job: RememberedJob, command: str) -> str:
    return command if job.cwd is None else f"cd {shell.quote(job.cwd)} && {command}"


def _cfg_text(job: RememberedJob) -> str:
    return ",".join(f"{name}={_literal(value)}" for name, value in _given_cfg(job).items())


def _given_cfg(job: RememberedJob) -> dict[str, Any]:
    return {
        name: value for name, value in job.launch.cfg.items() if value not in (None, "", [], {})
    }


def _literal(value: object) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    if isinstance(value, dict):
        return ";".join(f"{key}:{item}" for key, item in value.items())
    text = str(value)
    return f"'{text}'" if set(",;=") & set(text) and text != REDACTED else text


def _source_text(source: Any) -> str:
    revision = source.get("git_revision")
    parts = [str(source.get("path"))]
    if revision:
        dirty = " with uncommitted changes" if source.get("is_dirty") else ""
        parts.append(f"git {revision[:12]}{dirty}")
    if source.get("digest"):
        parts.append(f"digest {source['digest']}")
    return ", ".join(parts)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
