"""The parts of the scheduler ``aws_batch``."""
