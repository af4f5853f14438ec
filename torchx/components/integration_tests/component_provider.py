"""One app for each of the built-in components, for `IntegComponentTest`."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod

from torchx import specs
from torchx.components import dist, serve, utils

_LOCAL = "local_cwd"


class ComponentProvider(ABC):
    """Makes the app of one component.

    Args:
        scheduler: Name of the scheduler that will run it.
        image: Image to run it in.
    """

    def __init__(self, scheduler: str, image: str) -> None:
        self._scheduler = scheduler
        self._image = image

    def setUp(self) -> None:  # noqa: B027  (most need nothing)
        """Makes what the app needs."""

    def tearDown(self) -> None:  # noqa: B027  (most need nothing)
        """Removes it, after the app has ended."""

    @abstractmethod
    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""


class _InDirectory(ComponentProvider):
    """Has a temporary directory, which replicas see if they run on this machine."""

    _directory = ""

    def setUp(self) -> None:
        """Makes the directory."""
        self._directory = tempfile.mkdtemp(prefix="torchx-integ-")

    def tearDown(self) -> None:
        """Removes the directory."""
        shutil.rmtree(self._directory)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name) if self._scheduler == _LOCAL else name


class DDPComponentProvider(ComponentProvider):
    """Counts the workers of two nodes."""

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        return dist.ddp(
            m="torchx.examples.apps.compute_world_size.main",
            name="ddp-trainer",
            image=self._image,
            cpu=1,
            j="2x2",
            max_retries=3,
            env={"LOGLEVEL": "INFO"},
        )


class ServeComponentProvider(ComponentProvider):
    """Goes through the motions of registering a model."""

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        return serve.torchserve(
            model_path="dummy_path",
            management_api="dummy_api",
            image=self._image,
            dryrun=True,
        )


class BoothComponentProvider(_InDirectory):
    """Evaluates the booth function."""

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        directory = self._path("") if self._scheduler == _LOCAL else "/tmp/torchx-utils-booth"
        return utils.booth(1.0, 2.0, tracker_base=directory, image=self._image)


class ShComponentProvider(ComponentProvider):
    """Runs a command of the shell."""

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        return utils.sh("echo", "test", image=self._image)


class TouchComponentProvider(_InDirectory):
    """Makes a file."""

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        return utils.touch(self._path("torchx_touch_test.txt"), image=self._image)


class CopyComponentProvider(_InDirectory):
    """Copies a file."""

    def setUp(self) -> None:
        """Makes the directory and the file."""
        super().setUp()
        with open(os.path.join(self._directory, "README.md"), "w", encoding="utf-8") as file:
            file.write("to be copied\n")

    def get_app_def(self) -> specs.AppDef:
        """Returns the app."""
        return utils.copy(self._path("README.md"), self._path("README.md.copy"), image=self._image)
