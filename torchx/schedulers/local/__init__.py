"""The parts of the ``local_cwd`` scheduler: a supervisor per app, its state on disk, its logs."""
