"""The parts of the scheduler ``local_docker``."""
