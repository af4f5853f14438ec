"""How to run model interpretability as a job; there is no component in this module.

Interpretability programs are ordinary programs: run one process with ``utils.python``, or with
``dist.ddp`` if the program spreads its inputs over several workers::

    torchx run -s local_cwd utils.python --script interpret.py -- --model model.pt
"""
