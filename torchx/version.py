"""The version of torchx and the container image that goes with it.

``__version__`` and ``TORCHX_IMAGE`` are worked out when they are first read: the first needs a
file, the second may need a scan of the installed distributions.
"""

from __future__ import annotations

__version__: str
"""Version of the installed package, for example ``0.8.0``."""

TORCHX_IMAGE: str
"""Image with this version of torchx, the default image of the built-in components."""


def _version() -> str:
    """Reads the version through the loader of this module, so that a zipped package works too."""
    import os

    path = os.path.join(os.path.dirname(__file__), "version.txt")
    content: bytes = __spec__.loader.get_data(path)  # type: ignore[union-attr]  # not typed
    return content.decode().strip()


def _get_torchx_image(torchx_version: str) -> str:
    return f"ghcr.io/pytorch/torchx:{torchx_version}"


def _image() -> str:
    from torchx.util import entrypoints

    get_image = entrypoints.load("torchx.version", "get_torchx_image", default=_get_torchx_image)
    return str(get_image(_version()))


def __getattr__(name: str) -> str:
    if name == "__version__":
        value = _version()
    elif name == "TORCHX_IMAGE":
        value = _image()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
