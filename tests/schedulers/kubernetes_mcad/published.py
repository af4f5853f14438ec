"""Apps of the tests that hold the scheduler to what was published."""

from __future__ import annotations

from typing import Any

from torchx.specs import AppDef, BindMount, Resource, Role, macros

MODULE = "torchx.schedulers.kubernetes_mcad_scheduler"


def a_role(**fields: Any) -> Role:
    given: dict[str, Any] = {
        "name": "trainer_foo",
        "image": "pytorch/torchx:latest",
        "entrypoint": "main",
        "args": ["--out", macros.img_root, "--app-id", macros.app_id, macros.rank0_env],
        "env": {"FOO": "bar"},
        "resource": Resource(cpu=2, memMB=3000, gpu=4),
        "port_map": {"foo": 1234},
        "num_replicas": 1,
        "max_retries": 3,
        "mounts": [BindMount(src_path="/src", dst_path="/dst", read_only=True)],
    }
    return Role(**{**given, **fields})


def an_app(**fields: Any) -> AppDef:
    return AppDef("test", [a_role(**fields)])
