"""Sessions and clients: late, once, with time limits."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from torchx.schedulers.aws.errors import AwsError, AwsPackageMissing
from torchx.schedulers.aws.session import Clients, new_session, thread_local_cache


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_RETRY_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


def test_a_value_is_made_once_in_each_thread() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    cached = thread_local_cache(make)
    assert cached() is cached()
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(cached()))
    thread.start()
    thread.join()
    assert others[0] is not cached()
    assert len(made) == 2


def test_a_region_is_needed_only_by_a_client() -> None:
    session = new_session()
    with pytest.raises(AwsError, match="no AWS region is set"):
        Clients(lambda: session).get("batch")


def test_clients_are_made_once_and_have_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients = Clients()
    client = clients.get("batch")
    assert clients.get("batch") is client
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (10, 60)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    once = clients.get("batch", repeats=False)
    assert once.meta.config.retries["total_max_attempts"] == 1
    clients.close()
    assert clients.get("batch") is not client
    clients.close()


def test_retries_that_the_user_has_set_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    clients = Clients()
    retries = clients.get("batch").meta.config.retries
    clients.close()
    assert retries == {"mode": "adaptive", "total_max_attempts": 3}


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsError, match="nobody"):
        Clients().get("batch")


def test_a_given_client_is_used() -> None:
    given = object()
    clients = Clients(batch=given, logs=None)
    assert clients.get("batch") is given
    assert clients.get("batch", repeats=False) is given


def test_without_boto3_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(AwsPackageMissing, match=r"pip install 'torchx\[aws\]'"):
        new_session()


def test_importing_the_shared_parts_imports_no_sdk() -> None:
    program = (
        "import sys\n"
        "from torchx.schedulers.aws import cloudwatch, errors, service_model, session, tags\n"
        "assert not {'boto3', 'botocore'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
