"""The universal job launcher: describe a job once, run it anywhere.

Start with :mod:`torchx.specs` (what to run) and :mod:`torchx.runner` (how to run it).
"""

from __future__ import annotations

__version__: str
"""Version of the installed package."""

IMAGE: str
"""Image with this version of torchx, the default image of the built-in components."""


def __getattr__(name: str) -> str:
    if name not in ("__version__", "IMAGE"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from torchx import version

    return version.__version__ if name == "__version__" else version.TORCHX_IMAGE
