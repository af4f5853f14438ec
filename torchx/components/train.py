"""How to train with torchx; there is no component in this module.

One process: ``utils.python``. Many processes or nodes: ``dist.ddp``, for every program that runs
under ``torchrun``. ``torchx.examples.digits.train`` is a complete one, with checkpoints that
survive a kill::

    torchx run -s local_cwd dist.ddp -j 2x2 -m torchx.examples.digits.train

A training program that is restarted by its scheduler (``--max_retries``) should write checkpoints
to storage that outlives a replica and begin by looking for one.
"""
