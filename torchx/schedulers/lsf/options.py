"""The run options of the ``lsf`` scheduler."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from torchx.schedulers.structured_opts import StructuredOpts
from torchx.specs.api import CfgVal


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    lsf_queue: str | None = None
    """queue to submit to; by default that of the cluster"""

    jobdir: str | None = None
    """directory for the copy of the workspace and for the outputs, on a file system that all hosts
    share; created if it does not exist. By default outputs are kept below TORCHX_HOME, without
    copying the workspace"""

    container_workdir: str | None = None
    """working directory inside the container; by default the jobdir if a workspace was copied
    there, else that of the image"""

    host_network: bool = False
    """use the network of the host, so that replicas can reach each other"""

    shm_size: str | None = None
    """size of /dev/shm, such as 64m; by default what docker gives"""

    bsub_args: str | None = None
    """further words for bsub, quoted as in a shell, such as "-W 4:00 -app gpu" """


def text_option(cfg: Mapping[str, CfgVal], key: str) -> str | None:
    """Reads an option that is text.

    Args:
        cfg: Run config of any form.
        key: Name of the option.

    Returns:
        Its value.

    Raises:
        AssertionError: It is no text.
    """
    value = cfg.get(key)
    assert value is None or isinstance(value, str), f"{key} must be str, not {value!r}"
    return value


def checked_jobdir(cfg: Mapping[str, CfgVal]) -> str | None:
    """Reads the job directory as LSF can be given it.

    Args:
        cfg: Run config of any form.

    Returns:
        Its absolute path, or ``None``.

    Raises:
        ValueError: LSF would take a part of it for something else.
    """
    jobdir = text_option(cfg, "jobdir")
    if jobdir is None:
        return None
    if "%" in jobdir or "\n" in jobdir:
        raise ValueError(
            f"the run option `jobdir` must be one line without `%`, which LSF replaces by numbers"
            f" of jobs, not {jobdir!r}; name another directory"
        )
    return os.path.abspath(jobdir)


def bsub_words(cfg: Mapping[str, CfgVal]) -> list[str]:
    """Reads the further words for bsub.

    Args:
        cfg: Run config of any form.

    Returns:
        The words.

    Raises:
        ValueError: A quote is not closed.
    """
    text = text_option(cfg, "bsub_args")
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise ValueError(f"the run option `bsub_args` cannot be split: {error}: {text!r}") from None
