"""Remembers what the partitions of a cluster allow, and holds apps to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from torchx.schedulers.slurm import client, partitions
from torchx.schedulers.slurm.options import SlurmOpts
from torchx.schedulers.slurm.partitions import NodeGroup, SlurmLimitError
from torchx.specs.api import AppDef

log: logging.Logger = logging.getLogger(__name__)


class Cluster:
    """What is known about a cluster; asked for once, by the first check of an app."""

    def __init__(self) -> None:
        self._groups: Sequence[NodeGroup] = ()
        self._lock = threading.Lock()

    def check(self, app: AppDef, opts: SlurmOpts) -> None:
        """Checks that the cluster can ever run an app, as far as it can be asked.

        Args:
            app: The app.
            opts: Run options.

        Raises:
            SlurmLimitError: It cannot; the message names the limits.
        """
        with self._lock:
            if not self._groups:
                try:
                    self._groups = partitions.read_partitions(client.run(partitions.QUERY))
                except client.SlurmError as error:
                    log.info("the partitions are not known, so nothing is checked: %s", error)
        partitions.check(app, opts, self._groups)

    def check_components(self, app: AppDef, opts: SlurmOpts, components: int) -> None:
        """Checks that all components of a job can run at the same time.

        Args:
            app: The app.
            opts: Run options.
            components: Number of the components.

        Raises:
            SlurmLimitError: There are too few nodes.
        """
        num_nodes = self.num_nodes(opts)
        if num_nodes is not None and 1 < components > num_nodes:
            raise SlurmLimitError(
                f"`{app.name}` would never start: its roles make {components} components, of which"
                f" Slurm puts no two on one node, and the partition has {num_nodes} nodes",
                hint="give roles the same resources and retries, so that they share a component",
            )

    def nodes(self, opts: SlurmOpts) -> list[NodeGroup]:
        """Returns the nodes that a job may run on, as far as they are known.

        Args:
            opts: Run options.
        """
        return partitions.chosen(self._groups, opts.partition)

    def num_nodes(self, opts: SlurmOpts) -> int | None:
        """Returns the number of nodes that a job may run on, if it is known.

        Args:
            opts: Run options.
        """
        nodes = self.nodes(opts)
        return sum(group.nodes for group in nodes) if nodes else None
