"""Measures torchx side by side with the released original. Run ``python -m benchmarks.run``."""
