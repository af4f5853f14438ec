from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler
from torchx.specs import AppDef, Resource, Role


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(
        "torchx.schedulers.kubernetes_scheduler.make_unique", lambda name: f"{name}-x1"
    )


@pytest.fixture
def scheduler() -> KubernetesScheduler:
    return KubernetesScheduler("session")


def role(name: str = "trainer", **fields: Any) -> Role:
    given = {"image": "img:1", "entrypoint": "main", "resource": Resource(2, 0, 3000), **fields}
    return Role(name, **given)


def app(*roles: Role, name: str = "demo") -> AppDef:
    return AppDef(name, list(roles) or [role()])
