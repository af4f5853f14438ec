"""Trains a network that reads handwritten digits, on as many workers as the job has.

The program is ordinary PyTorch: it runs alone, under ``torchrun``, and as a job on every
scheduler::

    torchx run -s local_cwd dist.ddp -j 2x2 -m torchx.examples.digits.train

It needs ``torch`` and ``scikit-learn`` (which ships the data): ``pip install 'torchx[examples]'``.
"""
