"""A scheduler built on ``DockerScheduler``, the way a published one is (NeMo-Run).

It calls the constructor with the session only, reads ``_docker_client``, asks
``_get_app_state(container)`` about containers, and decodes logs with ``_to_str``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.real.docker.engine import IMAGE, need_engine
from torchx.schedulers.api import AppDryRunInfo, DescribeAppResponse, Stream
from torchx.schedulers.docker_scheduler import (
    DockerContainer,
    DockerJob,
    DockerScheduler,
    _to_str,
)
from torchx.specs import AppDef, AppState, Role, RoleStatus, is_terminal, runopts


class PersistentScheduler(DockerScheduler):
    """Keeps requests of its own and makes containers of them by itself."""

    def __init__(self, session_name: str) -> None:
        super().__init__(session_name)
        self._scheduled_reqs: dict[str, DockerJob] = {}

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("copy_env", type_=list[str], default=None, help="patterns")
        return opts

    def _submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[DockerJob]:
        role = app.roles[0]
        container = DockerContainer(
            role.image,
            [role.entrypoint, *role.args],
            {
                "name": f"{app.name}-own",
                "labels": {
                    "torchx.pytorch.org/app-id": app.name,
                    "torchx.pytorch.org/role-name": role.name,
                    "torchx.pytorch.org/replica-id": "0",
                },
                "network": "none",
            },
        )
        return AppDryRunInfo(DockerJob(app.name, [container]), repr)

    def schedule(self, dryrun_info: AppDryRunInfo[DockerJob]) -> str:
        job = dryrun_info.request
        for container in job.containers:
            kwargs: Any = container.kwargs
            self._docker_client.containers.run(
                container.image, container.command, detach=True, **kwargs
            )
        self._scheduled_reqs[job.app_id] = job
        return job.app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        found = self._docker_client.containers.list(
            all=True, filters={"label": f"torchx.pytorch.org/app-id={app_id}"}
        )
        if not found:
            return None
        states = [self._get_app_state(container) for container in found]
        return DescribeAppResponse(
            app_id=app_id,
            state=states[0],
            roles=[Role("job", image=IMAGE)],
            roles_statuses=[RoleStatus("job", [])],
        )

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: object = None,
        until: object = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        (container,) = self._docker_client.containers.list(
            all=True, filters={"label": f"torchx.pytorch.org/app-id={app_id}"}
        )
        for chunk in container.logs(stream=True, follow=True):
            yield _to_str(chunk)


@pytest.fixture
def scheduler() -> Iterator[PersistentScheduler]:
    need_engine()
    scheduler = PersistentScheduler("nemo")
    yield scheduler
    scheduler.delete("torchx-test-compat")
    scheduler.close()


def test_a_scheduler_built_on_ours_works(scheduler: PersistentScheduler) -> None:
    role = Role("job", IMAGE, entrypoint="python3", args=["-c", "print('hi'); exit(3)"])
    app_id = scheduler.submit(AppDef("torchx-test-compat", [role]), {})  # type: ignore[arg-type] # as it is called
    assert "".join(scheduler.log_iter(app_id, "job")) == "hi\n"
    while not is_terminal((description := scheduler.describe(app_id)).state):  # type: ignore[union-attr] # it exists
        scheduler.wait_for_change(app_id, 10)
    assert description is not None
    assert description.state == AppState.FAILED
    assert [item.app_id for item in scheduler.list() if item.app_id == app_id] == [app_id]


def test_text_and_bytes_become_text() -> None:
    assert _to_str("ä") == _to_str("ä".encode()) == "ä"
