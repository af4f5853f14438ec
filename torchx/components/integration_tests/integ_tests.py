"""Runs apps on a scheduler and tells which of them failed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING

from torchx.components.integration_tests.component_provider import ComponentProvider
from torchx.specs import AppState, CfgVal

if TYPE_CHECKING:
    from torchx.runner import Runner

_TIMEOUT_S = 3600.0


class IntegComponentTest:
    """Runs the apps of `ComponentProvider` classes."""

    def run_components(
        self,
        module: ModuleType,
        image: str,
        scheduler: str,
        cfg: Mapping[str, CfgVal],
        dryrun: bool = False,
        workspace: str | None = None,
    ) -> None:
        """Runs the app of each provider of a module, all at the same time, and prints their logs.

        Args:
            module: The module.
            image: Image to run the apps in.
            scheduler: Name of the scheduler.
            cfg: Run options.
            dryrun: Submit nothing.
            workspace: Local code to lay over the image.

        Raises:
            AssertionError: An app did not succeed.
            WaitTimeoutError: An app did not end within an hour.
        """
        from torchx.runner import get_runner

        with ExitStack() as stack:
            runner = stack.enter_context(get_runner("test-runner"))
            requests = []
            for provider_class in _providers_in(module):
                provider = provider_class(scheduler, image)
                provider.setUp()
                stack.callback(provider.tearDown)
                app = provider.get_app_def()
                requests.append(runner.dryrun(app, scheduler, cfg=cfg, workspace=workspace))
            if dryrun:
                return
            handles = [runner.schedule(request) for request in requests]
            failed = [handle for handle in handles if not _succeeds(runner, handle)]
        assert not failed, f"{len(failed)}/{len(handles)} test jobs failed: {', '.join(failed)}"


def _providers_in(module: ModuleType) -> list[type[ComponentProvider]]:
    return [
        found
        for name, found in vars(module).items()
        if inspect.isclass(found)
        and issubclass(found, ComponentProvider)
        and not inspect.isabstract(found)
    ]


def _succeeds(runner: Runner, handle: str) -> bool:
    """Waits for an app and prints its logs."""
    status = runner.wait(handle, wait_interval=1, timeout=_TIMEOUT_S)
    state = status.state if status else AppState.UNKNOWN
    print(f"=== BEGIN LOG {handle} ({state.name})===")
    app = runner.describe(handle)
    for role in app.roles if app else []:
        for replica in range(role.num_replicas):
            for line in runner.log_lines(handle, role.name, replica):
                print(f"{role.name}/{replica} {line}", end="")
    print(f"=== END LOG {handle} ({state.name}) ===")
    return state == AppState.SUCCEEDED
