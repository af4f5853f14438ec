"""The parts of the scheduler `kubernetes_mcad`."""
