"""The parts of the scheduler ``lsf``; its public path is ``torchx.schedulers.lsf_scheduler``."""
