"""The colours under their older name; NeMo-Run imports ``ENDC`` and ``GREEN`` from here."""

from __future__ import annotations

from torchx.util.colors import BLUE, ENDC, GRAY, GREEN, ORANGE

__all__ = ["BLUE", "ENDC", "GRAY", "GREEN", "ORANGE"]
