"""Counts the workers of a job; the shortest program that needs all of them.

::

    torchx run -s local_cwd dist.ddp -j 1x2 --script compute_world_size/main.py
    torchx run -s local_cwd dist.ddp -j 1x2 -m torchx.examples.apps.compute_world_size.main

It takes its configuration from hydra (``pip install 'torchx[hydra]'``); ``main.throws=True`` makes
every worker fail, which shows how a failure is reported.
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig, OmegaConf
from torch.distributed.elastic.multiprocessing.errors import record

from torchx.examples.apps.compute_world_size.module.util import compute_world_size


@record  # so that the launcher learns why a worker failed
def run(cfg: DictConfig) -> None:
    """Counts the workers.

    Args:
        cfg: The configuration, see ``config/defaults.yaml``.

    Raises:
        RuntimeError: The configuration wants it to fail.
    """
    print(OmegaConf.to_yaml(cfg))
    if cfg.main.throws:
        raise RuntimeError("raising an error because the configuration says so: main.throws=True")
    compute_world_size(cfg)


if __name__ == "__main__":
    hydra.main(version_base="1.3", config_path="config", config_name="defaults")(run)()
