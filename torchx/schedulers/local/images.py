"""What an image is on this machine: a directory."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping

from torchx.specs.api import CfgVal, Role
from torchx.util.records import record


@record
class ReplicaParam:
    """How to start one replica.

    Attributes:
        args: The command and its arguments.
        env: Variables to set on top of the environment of the launching process.
        stdout: File for standard output; ``None`` leaves it on the console.
        stderr: File for standard error; ``None`` leaves it on the console.
        combined: File for both, line by line.
        cwd: Working directory; ``None`` for that of the launching process.
    """

    args: list[str]
    env: dict[str, str]
    stdout: str | None = None
    stderr: str | None = None
    combined: str | None = None
    cwd: str | None = None


class ImageProvider(abc.ABC):
    """Makes the image of a role available on this machine.

    Args:
        cfg: The run config.
    """

    def __init__(self, cfg: Mapping[str, CfgVal]) -> None:  # noqa: B027 (subclasses may use it)
        pass

    @abc.abstractmethod
    def fetch(self, image: str) -> str:
        """Makes an image available.

        Args:
            image: The image as the role names it.

        Returns:
            The directory it is in, or ``""`` if there is none.
        """
        raise NotImplementedError

    def fetch_role(self, role: Role) -> str:
        """Makes the image of a role available; may add to the environment of the role.

        Args:
            role: A copy of the role.

        Returns:
            The directory the image is in.
        """
        return self.fetch(role.image)

    def get_cwd(self, image: str) -> str | None:
        """Returns the working directory for replicas of an image.

        Args:
            image: The image as the role names it.

        Returns:
            The directory, or ``None`` for that of the launching process.
        """
        return None

    def get_entrypoint(self, img_root: str, role: Role) -> str:
        """Returns the command of a role.

        Args:
            img_root: The directory the image is in.
            role: The role.

        Returns:
            The command, by default a path below ``img_root``.
        """
        return os.path.join(img_root, role.entrypoint)

    def get_replica_param(
        self,
        img_root: str,
        role: Role,
        stdout: str | None = None,
        stderr: str | None = None,
        combined: str | None = None,
    ) -> ReplicaParam:
        """Returns how to start a replica.

        Args:
            img_root: The directory the image is in.
            role: The role, with macros substituted for that replica.
            stdout: File for standard output.
            stderr: File for standard error.
            combined: File for both.

        Returns:
            The parameters.
        """
        return ReplicaParam(
            args=[self.get_entrypoint(img_root, role), *role.args],
            env=role.env,
            stdout=stdout,
            stderr=stderr,
            combined=combined,
            cwd=self.get_cwd(role.image),
        )


class LocalDirectoryImageProvider(ImageProvider):
    """Images are absolute paths of directories; replicas run in them.

    Args:
        cfg: The run config, which is not used.
    """

    def fetch(self, image: str) -> str:
        """Checks that the directory exists.

        Args:
            image: The directory.

        Returns:
            The same path.

        Raises:
            ValueError: It is no directory.
        """
        if not os.path.isdir(image):
            raise ValueError(
                f"the image `{image}` is not a directory; give the path of an existing directory"
            )
        return image

    def get_cwd(self, image: str) -> str | None:
        """Returns the directory itself.

        Args:
            image: The directory.

        Returns:
            The same path.
        """
        return image

    def get_entrypoint(self, img_root: str, role: Role) -> str:
        """Returns the entrypoint as the role names it.

        Args:
            img_root: Not used.
            role: The role.

        Returns:
            A command that is looked up in ``PATH``, or a path.
        """
        return role.entrypoint


class CWDImageProvider(ImageProvider):
    """Whatever the image, replicas run in the working directory of the launching process.

    Args:
        cfg: The run config, which is not used.
    """

    def fetch(self, image: str) -> str:
        """Returns the working directory.

        Args:
            image: Not used.

        Returns:
            The working directory.

        Raises:
            FileNotFoundError: It has been deleted.
        """
        try:
            return os.getcwd()
        except FileNotFoundError as error:
            reason = "the working directory has been deleted; change to one that exists"
            raise FileNotFoundError(error.errno, reason) from None

    def get_cwd(self, image: str) -> str | None:
        """Returns the working directory.

        Args:
            image: Not used.

        Returns:
            The working directory.
        """
        return os.getcwd()

    def get_entrypoint(self, img_root: str, role: Role) -> str:
        """Returns the entrypoint as the role names it.

        Args:
            img_root: Not used.
            role: The role.

        Returns:
            A command that is looked up in ``PATH``, or a path.
        """
        return role.entrypoint
