from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.specs import Resource, named_resources, resource
from torchx.util.config_file import ConfigFileError

BOX = """\
[resource:box]
cpu = 4
gpu = 1
memMB = 4096
capabilities =
    node.kubernetes.io/instance-type: p4d.24xlarge
    zone: a
devices = vpc.amazonaws.com/efa: 4, other/device: 1
tags = team: nlp
[resource:small]
cpu = 1
memMB = 512
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TORCHXCONFIG", raising=False)
    monkeypatch.delenv("TORCHX_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    named_resources.reset()
    yield tmp_path
    named_resources.reset()


def write(text: str) -> None:
    Path(".torchxconfig").write_text(text)


def test_a_section_is_a_named_resource() -> None:
    write(BOX)
    assert resource(h="box") == Resource(
        cpu=4,
        gpu=1,
        memMB=4096,
        capabilities={"node.kubernetes.io/instance-type": "p4d.24xlarge", "zone": "a"},
        devices={"vpc.amazonaws.com/efa": 4, "other/device": 1},
        tags={"team": "nlp"},
    )
    assert resource(h="small") == Resource(cpu=1, gpu=0, memMB=512)
    assert resource(h="box") is not resource(h="box")


def test_it_wins_over_a_built_in_resource_and_a_profile_over_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("[resource:gpu.small]\ncpu = 3\nmemMB = 5\n[profile:p:resource:gpu.small]\nmemMB = 6\n")
    assert resource(h="gpu.small") == Resource(cpu=3, gpu=0, memMB=5)
    named_resources.reset()
    monkeypatch.setenv("TORCHX_PROFILE", "p")
    assert resource(h="gpu.small").memMB == 6
    assert resource(h="gpu.medium").cpu == 16


@pytest.mark.parametrize(
    ("lines", "told", "hint"),
    [
        ("cpus = 1", "option `cpus` is unknown", "did you mean `cpu`?"),
        ("color = red", "option `color` is unknown", "use cpu, gpu, memMB"),
        ("cpu = 1", "[resource:bad] lacks memMB", "memory in MiB"),
        ("cpu = many\nmemMB = 1", "option `cpu`: invalid literal", "digits"),
        ("cpu = 1\nmemMB = -1", "option `memMB`: -1 is negative", "digits"),
        ("cpu = 1\nmemMB = 1\ndevices = efa", "option `devices`: `efa` is no pair", "name: value"),
    ],
)
def test_a_wrong_section_is_an_error_only_for_who_uses_it(lines: str, told: str, hint: str) -> None:
    write(f"[resource:bad]\n{lines}\n")
    assert resource(h="cpu.nano").cpu == 1
    with pytest.raises(ConfigFileError) as caught:
        resource(h="bad")
    assert told in str(caught.value)
    assert ".torchxconfig" in str(caught.value)
    assert hint in caught.value.hint


def test_a_section_without_options_is_named_too() -> None:
    write("[resource:bad]\n")
    with pytest.raises(ConfigFileError, match=r"\[resource:bad\] lacks cpu and memMB"):
        resource(h="bad")


def test_a_broken_file_does_not_take_the_other_resources_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    write("no section\n")
    assert resource(h="cpu.nano").cpu == 1
    assert "no named resources are read from configuration files" in caplog.text
