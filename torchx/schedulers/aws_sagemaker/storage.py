"""Puts code and launch scripts into S3, under names that digest them: once for each content."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from torchx.schedulers.aws.errors import AwsError, aws_errors, error_code, is_aws_error
from torchx.schedulers.aws.session import Clients
from torchx.schedulers.aws_sagemaker.launcher import CODE_ARCHIVE, LAUNCH_SCRIPT
from torchx.specs.api import TORCHX_HOME, Workspace
from torchx.workspace.context import SentFile, open_archive, pack
from torchx.workspace.job_dirs import known_job_dirs
from torchx.workspace.limits import SizeLimit, warn_of_contents
from torchx.workspace.manifest import Manifest, manifest_of, until_unchanged
from torchx.workspace.progress import Progress, shown_progress
from torchx.workspace.tree import DOCKER_IGNORES, WorkspaceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchx.workspace.manifest import Item

log: logging.Logger = logging.getLogger(__name__)

IGNORES = DOCKER_IGNORES
"""Names of the files that say which code stays behind."""

_PREFIX = "torchx/v1"
_ABSENT = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
# Without the right to list a bucket, S3 answers so for what is not there.
_UNKNOWN = ("403", "AccessDenied", "Forbidden")
_FIRST_REGION = "us-east-1"
_OWN_ALREADY = ("BucketAlreadyOwnedByYou",)


class Storage:
    """A place in S3 that code is sent by way of.

    Args:
        clients: Where the client of S3 comes from.
        address: The place, as ``s3://bucket/prefix``.
    """

    def __init__(self, clients: Clients, address: str) -> None:
        self._clients = clients
        self.address = address.rstrip("/")
        bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, prefix

    def send_code(self, code: Workspace) -> str:
        """Sends code along, unless it is there already.

        Args:
            code: The code.

        Returns:
            S3 address of the directory that its archive is in.

        Raises:
            WorkspaceError: The code cannot be read, or is too much.
            AwsError: S3 refuses, or does not answer.
        """
        limit = SizeLimit()
        return until_unchanged(lambda: self._send_code(code, limit))

    def send_script(self, script: str) -> str:
        """Sends a launch script along, unless it is there already.

        Args:
            script: The script.

        Returns:
            S3 address of the directory that it is in.

        Raises:
            AwsError: S3 refuses, or does not answer.
        """
        content = script.encode("utf-8", "surrogateescape")
        directory = self._directory("launch", hashlib.sha256(content).hexdigest())
        self._put(f"{directory}{LAUNCH_SCRIPT}", lambda: io.BytesIO(content))
        return self._address_of(directory)

    def _send_code(self, code: Workspace, limit: SizeLimit) -> str:
        with shown_progress() as progress:
            manifest = manifest_of(
                code,
                IGNORES,
                never_sent(),
                progress=progress,
                before_reading=lambda unread: limit.check("read", unread),
            )
            directory = self._directory("code", manifest.digest)
            is_sent = self._put(
                f"{directory}{CODE_ARCHIVE}", lambda: _checked_archive(manifest, limit, progress)
            )
        text = "sent" if is_sent else "S3 has them already"
        log.info("code: %d files of %s: %s", len(manifest.items), code, text)
        return self._address_of(directory)

    def _put(self, key: str, make: Callable[[], IO[bytes]]) -> bool:
        doing = f"send {key.rpartition('/')[2]} to S3"
        with aws_errors(doing, f"s3://{self._bucket}/{key}"):
            if self._has(key):
                return False
            with make() as content:
                self._client.upload_fileobj(content, self._bucket, key)
        return True

    def _has(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except Exception as error:
            if is_aws_error(error) and error_code(error) in (*_ABSENT, *_UNKNOWN):
                return False
            raise
        return True

    @property
    def _client(self) -> Any:
        return self._clients.get("s3")

    def _directory(self, kind: str, digest: str) -> str:
        parts = (self._prefix, _PREFIX, kind, digest)
        return "/".join(part for part in parts if part) + "/"

    def _address_of(self, directory: str) -> str:
        return f"s3://{self._bucket}/{directory}"


def check_source_dir(source_dir: str | None) -> None:
    """Checks that code that somebody has named is there.

    Args:
        source_dir: A directory, or an address that is not checked here.

    Raises:
        WorkspaceNotFoundError: There is no such directory.
    """
    if source_dir and "://" not in source_dir and not os.path.isdir(source_dir):
        raise WorkspaceNotFoundError(
            f"the run option `source_dir` names {source_dir}, which is no directory",
            hint="name the directory that holds the code, or an s3:// address",
        )


def never_sent() -> list[str]:
    """Names the directories that are never part of the code.

    Returns:
        Their paths.
    """
    return [str(TORCHX_HOME()), *known_job_dirs()]


def default_bucket(clients: Clients) -> str:
    """Finds the bucket that SageMaker's own tools use, and creates it if need be.

    Args:
        clients: Where the clients come from.

    Returns:
        Name of the bucket.

    Raises:
        AwsError: AWS refuses, or does not answer.
    """
    region = clients.get("sagemaker").meta.region_name
    with aws_errors("find out the account, for the name of the default bucket"):
        account = clients.get("sts").get_caller_identity()["Account"]
    bucket = f"sagemaker-{region}-{account}"
    with aws_errors(f"use the default bucket {bucket}", f"bucket `{bucket}`"), _bucket_hint():
        _ensure_bucket(clients.get("s3"), bucket, region, account)
    return bucket


@contextmanager
def _bucket_hint() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_aws_error(error) and error_code(error) in _UNKNOWN:
            raise AwsError(
                "the default bucket of SageMaker belongs to somebody else, or you may not use it",
                hint="name a bucket of yours with the run option `output_path`",
                code=error_code(error),
            ) from error
        raise


def _ensure_bucket(s3: Any, bucket: str, region: str, account: str) -> None:
    try:
        # The name can be guessed: somebody else may have taken it to get hold of the code.
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
        return
    except Exception as error:
        if not is_aws_error(error) or error_code(error) not in _ABSENT:
            raise
    place = {} if region == _FIRST_REGION else {"LocationConstraint": region}
    try:
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    except Exception as error:
        if not is_aws_error(error) or error_code(error) not in _OWN_ALREADY:
            raise
    log.info("created the bucket %s", bucket)


def _checked_archive(manifest: Manifest, limit: SizeLimit, progress: Progress) -> IO[bytes]:
    limit.check("send along", [item.entry for item in manifest.items.values()])
    warn_of_contents(manifest.items)
    return _archive(manifest.items, progress)


def _archive(items: Mapping[str, Item], progress: Progress) -> IO[bytes]:
    with tempfile.NamedTemporaryFile(prefix="torchx-code", suffix=".tar.gz") as file:
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            open_archive(cast("IO[bytes]", packed)) as archive,
        ):
            pack(items, archive, progress)
        file.flush()
        # It stays open, and is gone from the disk when it is closed.
        return SentFile(file.name, progress)
