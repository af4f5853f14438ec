"""A base class for the tests of components.

Example:
    .. code-block:: python

        class TrainTest(ComponentTestCase):
            def test_train(self) -> None:
                self.validate(trainer, "train")
                status = self.run_component(trainer.train, {"data": "/data"}, timeout=60)
                assert status is not None and status.state == specs.AppState.SUCCEEDED
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import unittest
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torchx
import torchx.specs as specs


class ComponentTestCase(unittest.TestCase):
    """Checks components and runs them.

    Attributes:
        test_dir: A fresh directory, removed after the test.
        old_cwd: The current directory before the test, restored after it. During the test it is
            the directory of the ``torchx`` package.
    """

    test_dir: str
    old_cwd: str

    def setUp(self) -> None:
        """Makes ``test_dir`` and changes to the directory of the package."""
        self.test_dir = tempfile.mkdtemp("torchx_component_test")
        self.old_cwd = os.getcwd()
        os.chdir(Path(torchx.__file__).parent)

    def tearDown(self) -> None:
        """Restores the current directory and removes ``test_dir``."""
        os.chdir(self.old_cwd)
        shutil.rmtree(self.test_dir)

    def validate(self, module: ModuleType, function_name: str) -> None:
        """Asserts that a function is a valid component and that its help can be printed.

        Args:
            module: The module that defines the component.
            function_name: Name of the function.

        Raises:
            ComponentValidationException: The function breaks the rules for components.
        """
        from torchx.specs import builders, finder

        path = os.path.abspath(str(module.__file__))
        component = finder.get_component(f"{path}:{function_name}")
        parser = builders._create_args_parser(component.fn)
        with self.assertRaises(SystemExit):  # noqa: PT027  (this is a unittest class)
            parser.parse_args(["--help"])

    def run_component(
        self,
        component: Callable[..., specs.AppDef],
        args: Mapping[str, object] | None = None,
        scheduler_params: Mapping[str, object] | None = None,
        scheduler: str = "local_cwd",
        interval: float = 0.1,
        timeout: float = 1,
    ) -> specs.AppStatus | None:
        """Runs a component and waits for it to end.

        Args:
            component: The component.
            args: Its arguments by name.
            scheduler_params: Passed to the constructors of the schedulers.
            scheduler: Where to run it.
            interval: Seconds between two looks at the job.
            timeout: Seconds after which to return although the job is not done.

        Returns:
            The last known status, None if the scheduler does not know the job.
        """
        from torchx.runner import get_runner

        app = component(**(args or {}))
        with get_runner(
            name=None, component_defaults=None, **dict(scheduler_params or {})
        ) as runner:
            handle = runner.run(app, scheduler)
            give_up = time.monotonic() + timeout
            status = runner.status(handle)
            while not (status and status.is_terminal()) and time.monotonic() < give_up:
                time.sleep(interval)
                status = runner.status(handle)
            return status
