"""What ``torchx run`` prints on standard output besides the handle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from torchx.cli.app_text import format_app, redact_data, redact_request
from torchx.cli.run_args import TorchXRunArgs

if TYPE_CHECKING:
    from torchx.specs import AppDef, AppDryRunInfo, AppStatus
    from torchx.workspace.preview import WorkspacePreview


def print_dryrun(
    args: TorchXRunArgs, info: AppDryRunInfo[Any], previews: Sequence[WorkspacePreview] = ()
) -> None:
    """Prints what would be submitted, without the secrets in it.

    Args:
        args: The call.
        info: The result of the dry run.
        previews: What would be sent along.
    """
    app = _app_of(info)
    text = redact_request(str(info), app)
    if not args.json:
        if previews:
            print("\n=== WORKSPACE ===")
            print(*previews, sep="\n")
        print("\n=== APPLICATION ===")
        print(format_app(app) if app is not None else None)
        print("\n=== SCHEDULER REQUEST ===")
        print(text)
        return
    request = info.request
    is_record = is_dataclass(request) and not isinstance(request, type)
    shown = {
        "scheduler": args.scheduler,
        "cfg": redact_data(dict(args.scheduler_cfg), app),
        "workspaces": [asdict(preview) for preview in previews],
        "app": redact_data(asdict(app), app) if app is not None else None,
        "request": redact_data(asdict(request), app) if is_record else text,
    }
    print(json.dumps(shown, default=str))


def print_outcome(app_handle: str, status: AppStatus | None) -> None:
    """Prints one JSON object about an app that was launched.

    Args:
        app_handle: Its handle.
        status: Its status, if it is known.
    """
    from torchx.specs import parse_app_handle

    scheduler, _, app_id = parse_app_handle(app_handle)
    outcome = {
        "handle": app_handle,
        "app_id": app_id,
        "scheduler": scheduler,
        "state": status.state.name if status is not None else None,
        "ui_url": status.ui_url if status is not None else None,
    }
    print(json.dumps(outcome), flush=True)


def _app_of(info: AppDryRunInfo[Any]) -> AppDef | None:
    """Finds the app; what other packages return from a dry run may have only one of the names."""
    for name in ("app", "_app"):
        app: AppDef | None = getattr(info, name, None)
        if is_dataclass(app):
            return app
    return None
