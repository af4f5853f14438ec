"""The parts of the schedulers ``kubernetes`` and ``kubernetes_mcad``."""
