"""Sessions and clients of boto3, made when they are first needed and then kept.

Credentials, region, profile and endpoint come from boto3's own chain (``AWS_PROFILE``,
``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL``, instance roles and so on).
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from torchx.schedulers.aws.errors import AwsPackageMissing, aws_errors

if TYPE_CHECKING:
    from boto3.session import Session

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_ATTEMPTS = 4
_POOL_CONNECTIONS = 64


def thread_local_cache(function: Callable[[], T]) -> Callable[[], T]:
    """Remembers the result of a function without arguments, in each thread anew.

    Args:
        function: The function.

    Returns:
        A function that calls it once in each thread.
    """
    local = threading.local()

    @functools.wraps(function)
    def cached() -> T:
        if not hasattr(local, "value"):
            local.value = function()
        value: T = local.value
        return value

    return cached


def new_session() -> Session:
    """Makes a session. It needs neither a region nor credentials until a client is made.

    Returns:
        The session, for one thread.

    Raises:
        AwsPackageMissing: The Python package ``boto3`` is not installed.
        AwsError: The profile that is asked for does not exist.
    """
    try:
        import boto3.session
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] != "boto3":
            raise
        raise AwsPackageMissing from error
    _quieten()
    with aws_errors("open a session"):
        return boto3.session.Session()


def _quieten() -> None:
    """Keeps to itself where botocore has found credentials, unless somebody wants to know."""
    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET and not logging.getLogger().isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.WARNING)


class Clients:
    """Clients of AWS services, each made once. They may be used by any number of threads.

    Args:
        session: Gives the session that clients are made with.
        given: Clients to use instead, by the name of their service.
    """

    def __init__(self, session: Callable[[], Session] = new_session, **given: Any | None) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._given = {service: client for service, client in given.items() if client is not None}
        self._made: dict[tuple[str, bool], Any] = {}

    def get(self, service: str, *, repeats: bool = True) -> Any:
        """Returns the client of a service.

        Args:
            service: Its name, for example ``logs``.
            repeats: Have boto3 repeat calls that failed for a reason that may pass. Not to be used
                for calls that must not arrive twice.

        Returns:
            The client.

        Raises:
            AwsPackageMissing: The Python package ``boto3`` is not installed.
            AwsError: There is no region, or the configuration is wrong.
        """
        if service in self._given:
            return self._given[service]
        with self._lock:
            key = (service, repeats)
            if key not in self._made:
                session = self._session()
                with aws_errors(f"use the AWS service `{service}`"):
                    self._made[key] = session.client(service, config=_config(repeats))
            return self._made[key]

    def close(self) -> None:
        """Closes the connections of all clients that were made here. Repeatable."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            client.close()


def _config(repeats: bool) -> Any:
    from botocore.config import Config

    retries: dict[str, object] = {}
    # What the user has set for all tools comes first.
    if "AWS_RETRY_MODE" not in os.environ:
        retries["mode"] = "standard"
    if not repeats:
        retries["total_max_attempts"] = 1
    elif "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = _ATTEMPTS
    return Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        max_pool_connections=_POOL_CONNECTIONS,
        retries=retries,
    )
