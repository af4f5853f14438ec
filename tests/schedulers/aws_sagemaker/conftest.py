"""Fixtures for the tests of the scheduler `aws_sagemaker`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.aws_sagemaker.service import ROLE, Service
from torchx.specs import CfgVal


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The server that runs jobs; boto3 talks to no other one."""
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    with Service(tmp_path / "instances") as service:
        for name, value in service.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield service


@pytest.fixture
def cfg() -> dict[str, CfgVal]:
    """Run options with which a submit needs neither IAM nor STS."""
    return {"role": ROLE, "instance_type": "ml.m5.large", "output_path": "s3://bucket/team x"}
