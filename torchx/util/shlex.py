"""Joins words to a shell command line; the older import path of :mod:`torchx.util.shell`."""

from torchx.util.shell import join

__all__ = ["join"]
