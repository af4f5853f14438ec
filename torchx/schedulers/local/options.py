"""The run options of the ``local_cwd`` scheduler."""

from __future__ import annotations

from torchx.schedulers.structured_opts import StructuredOpts
from torchx.util.records import record


@record
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    log_dir: str | None = None
    """directory to write the output of replicas to, below <session>/<app id>; by default it is
    kept with the state of the app and removed with it"""

    prepend_cwd: bool = False
    """look for programs in the image directory first, instead of after the PATH of the role"""

    auto_set_cuda_visible_devices: bool = False
    """divide the GPUs of this machine among the replicas by setting CUDA_VISIBLE_DEVICES"""

    timeout_s: int | None = None
    """seconds an app may run before it is ended as FAILED; by default without limit"""

    grace_period_s: int = 10
    """seconds between SIGTERM and SIGKILL when replicas are ended"""

    detach: bool = False
    """let the app go on when the process that launched it ends, and when the user logs out"""

    def check(self) -> None:
        """Checks the values.

        Raises:
            ValueError: One makes no sense.
        """
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, not {self.timeout_s}")
        if self.grace_period_s < 0:
            raise ValueError(f"grace_period_s must not be negative, not {self.grace_period_s}")
