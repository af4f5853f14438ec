from __future__ import annotations

import pytest

from torchx.runner import get_runner
from torchx.schedulers.cluster_mounts import ClusterMountError
from torchx.specs import AppDef, ConfigMapMount, Resource, Role, SecretMount


@pytest.mark.parametrize("scheduler", ["local_cwd", "local_docker", "slurm", "lsf"])
@pytest.mark.parametrize(
    ("mount", "named"),
    [(SecretMount("token", "/x"), "secret `token`"), (ConfigMapMount("cfg", "/x"), "map `cfg`")],
)
def test_what_only_a_cluster_has_is_refused_elsewhere(
    scheduler: str, mount: SecretMount | ConfigMapMount, named: str
) -> None:
    role = Role("r", "/", entrypoint="true", mounts=[mount], resource=Resource(1, 0, 64))
    with get_runner() as runner, pytest.raises(ClusterMountError, match=named) as refusal:
        runner.dryrun(AppDef("a", [role]), scheduler)
    assert "type=bind" in refusal.value.hint
