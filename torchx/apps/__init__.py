"""Programs that run inside jobs, as ``python -m torchx.apps...``; components start them."""
