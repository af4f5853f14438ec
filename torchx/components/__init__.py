"""Components: functions that describe a job and return it as an ``AppDef``.

``torchx run dist.ddp ...`` looks up ``ddp`` in ``torchx.components.dist``; ``torchx builtins``
lists what there is, and ``torchx builtins --print dist.ddp`` prints one as a file to start from.

Writing one
===========

A component is a function with annotated parameters that returns an ``AppDef``; its docstring is its
help text::

    # trainer.py
    import torchx.specs as specs


    def train(
        data: str, *args: str, lr: float = 0.1, tags: dict[str, str] | None = None
    ) -> specs.AppDef:
        \"\"\"Trains the model.

        Args:
            data: where the data is
            args: passed on to the program
            lr: learning rate
            tags: labels of the job
        \"\"\"
        return specs.AppDef(
            name="train",
            roles=[
                specs.Role(
                    name="trainer",
                    image="registry.example.com/train:1",
                    entrypoint="python",
                    args=["-m", "train", "--data", data, "--lr", str(lr), *args],
                    resource=specs.resource(h="gpu.small"),
                )
            ],
            metadata=tags or {},
        )

Parameters are ``str``, ``int``, ``float``, ``bool``, ``list`` or ``dict`` of those, any of them
optional, and ``*args``. On the command line: ``--lr 0.2``, ``--tags team=vision,stage=test``, a
list as ``a,b,c``, and ``*args`` at the end, after ``--`` if the first one begins with a dash::

    torchx run -s local_cwd trainer.py:train --data /data -- --epochs 3

or from Python, ``runner.run_component("trainer.py:train", ["--data", "/data"], "local_cwd")``.

Text for macros
===============

In arguments, environment values and metadata, ``${img_root}``, ``${app_id}``, ``${replica_id}`` and
``${rank0_env}`` are replaced at submit time (``torchx.specs.macros``). Any other ``$name`` stays as
it is. A ``$$`` becomes ``$``, so ``$${app_id}`` is the literal text ``${app_id}``.

Good habits
===========

* Start programs as ``python -m module``: it does not matter where the image keeps them.
* Keep a component free of branches; write two instead of one with a switch.
* Name a resource (``h="gpu.small"``) rather than numbers.
* Build on ``dist.ddp`` by calling it, and change the ``AppDef`` that it returns.
* Test it with ``torchx.components.component_test_base.ComponentTestCase``.
"""  # noqa: D214  (the sections belong to the docstring of the example)
