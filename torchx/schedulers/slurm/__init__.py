"""The parts of the ``slurm`` scheduler."""
