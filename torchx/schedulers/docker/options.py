"""The run options of the ``local_docker`` scheduler."""

from __future__ import annotations

from dataclasses import dataclass

from torchx.schedulers.structured_opts import StructuredOpts


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    copy_env: list[str] | None = None
    """variables of this process's environment to pass on, as patterns: HF_*;WANDB_API_KEY"""

    env: dict[str, str] | None = None
    """variables for all roles; those of a role win"""

    privileged: bool = False
    """give the containers all rights on this machine, devices included"""

    grace_period_s: int = 10
    """seconds between SIGTERM and SIGKILL when containers are ended"""

    init: bool = True
    """run a small init as process 1, which hands on signals and reaps orphans; switch it off for
    images that bring an init of their own"""

    private_network: bool = False
    """give the app a network that no other app can reach, instead of the common `torchx`; it is
    removed with the app"""

    publish_ports: bool = False
    """make the ports of each role (those of its first replica) reachable at 127.0.0.1"""

    def check(self) -> None:
        """Checks the values.

        Raises:
            AssertionError: One has the wrong type.
            ValueError: One makes no sense.
        """
        assert self.copy_env is None or isinstance(self.copy_env, list), (
            f"copy_env must be a list of patterns, not {self.copy_env!r}"
        )
        assert self.env is None or isinstance(self.env, dict), (
            f"env must be a dict of variables, not {self.env!r}"
        )
        if self.grace_period_s < 0:
            raise ValueError(f"grace_period_s must not be negative, not {self.grace_period_s}")
