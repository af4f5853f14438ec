"""What ``torchx run`` prints on standard output besides the handle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from torchx.cli.app_text import format_app
from torchx.cli.json_output import handle_parts, print_json
from torchx.cli.run_args import TorchXRunArgs
from torchx.util.redact import redact_text, secrets_in

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
    text = redact_text(str(info), secrets_in(asdict(app)) if app is not None else ())
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
        "cfg": dict(args.scheduler_cfg),
        "workspaces": [asdict(preview) for preview in previews],
        "app": app,
        "request": request if is_record else text,
    }
    print_json("dryrun", shown)


def print_outcome(app_handle: str, status: AppStatus | None) -> None:
    """Prints one JSON object about an app that was launched.

    Args:
        app_handle: Its handle.
        status: Its status, if it is known.
    """
    outcome = {
        **handle_parts(app_handle),
        "state": status.state.name if status is not None else None,
        "ui_url": status.ui_url if status is not None else None,
    }
    print_json("run", outcome)


def _app_of(info: AppDryRunInfo[Any]) -> AppDef | None:
    """Finds the app; what other packages return from a dry run may have only one of the names."""
    for name in ("app", "_app"):
        app: AppDef | None = getattr(info, name, None)
        if is_dataclass(app):
            return app
    return None
