from __future__ import annotations

import pytest

from torchx.specs.mounts import (
    BindMount,
    ConfigMapMount,
    DeviceMount,
    MountType,
    SecretMount,
    VolumeMount,
    parse_mounts,
)


def test_mount_types_equal_their_names() -> None:
    assert [MountType.BIND, MountType.VOLUME, MountType.DEVICE] == ["bind", "volume", "device"]


@pytest.mark.parametrize(
    ("opts", "mount"),
    [
        ("type=bind,src=/a,dst=/b", BindMount("/a", "/b")),
        ("type=bind,source=/a,target=/b,readonly", BindMount("/a", "/b", read_only=True)),
        ("type=bind,source=/a,destination=/b,read_only", BindMount("/a", "/b", read_only=True)),
        ("type=volume,src=name,dst=/b", VolumeMount("name", "/b")),
        ("type=volume,src=~name,dst=/b,readonly", VolumeMount("~name", "/b", read_only=True)),
        ("type=device,src=/dev/fuse", DeviceMount("/dev/fuse", "/dev/fuse")),
        ("type=device,src=/dev/a,dst=/dev/b,perm=rw", DeviceMount("/dev/a", "/dev/b", "rw")),
        ("type=bind,src=/x,src=/a=1,dst=/b", BindMount("/a=1", "/b")),
    ],
)
def test_one_mount(opts: str, mount: object) -> None:
    assert parse_mounts(opts.split(",")) == [mount]


def test_each_type_starts_a_new_mount() -> None:
    opts = "type=bind,src=/a,dst=/b,readonly,type=volume,src=v,dst=/c,type=device,src=/dev/d"
    assert parse_mounts(opts.split(",")) == [
        BindMount("/a", "/b", read_only=True),
        VolumeMount("v", "/c"),
        DeviceMount("/dev/d", "/dev/d", "rwm"),
    ]
    assert parse_mounts([]) == []


def test_home_is_expanded_in_the_source_of_a_bind_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    opts = ["type=bind", "src=~/data", "dst=~/data"]
    assert parse_mounts(opts) == [BindMount("/home/me/data", "~/data")]


@pytest.mark.parametrize(
    ("value", "read_only"), [("true", True), ("1", True), ("False", False), ("no", False)]
)
def test_readonly_means_what_its_value_says(value: str, read_only: bool) -> None:
    (mount,) = parse_mounts(["type=bind", "src=/a", "dst=/b", f"readonly={value}"])
    assert mount == BindMount("/a", "/b", read_only=read_only)


@pytest.mark.parametrize(
    ("opts", "error", "text"),
    [
        ("type=bind,foo=1", KeyError, "unknown mount option foo, must be one of"),
        ("src=/a,type=bind", KeyError, "type must be specified first"),
        ("type=bind,dst=/b", KeyError, "^'src'$"),
        ("type=volume,src=v", KeyError, "^'dst'$"),
        ("type=device", KeyError, "^'src'$"),
        ("type=tmpfs,dst=/b", ValueError, r"invalid mount type 'tmpfs', must be one of \['bind', "),
        ("type,src=/a", ValueError, "invalid mount type ''"),
        ("type=device,src=/d,perm=rx", ValueError, "invalid permissions 'rx' of device /d"),
        ("type=device,src=/d,perm=", ValueError, "invalid permissions ''"),
        ("type=bind,src=/a,dst=/b,readonly=maybe", ValueError, "'maybe' of mount option readonly"),
        ("type=bind,src=/a,dst=/b,perm=r", ValueError, "a bind mount takes no option perm"),
        ("type=device,src=/d,readonly", ValueError, "a device mount takes no option readonly"),
    ],
)
def test_malformed_mounts_are_refused(opts: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        parse_mounts(opts.split(","))


def test_secrets_and_config_maps_are_mounted_by_name() -> None:
    words = "type=secret,src=token,dst=/secrets,type=configmap,source=cfg,target=/etc/job"
    assert parse_mounts(words.split(",")) == [
        SecretMount("token", "/secrets"),
        ConfigMapMount("cfg", "/etc/job"),
    ]


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_what_is_always_read_only_takes_no_such_option(kind: str) -> None:
    with pytest.raises(ValueError, match=f"a {kind} mount takes no option readonly"):
        parse_mounts([f"type={kind}", "src=a", "dst=/b", "readonly"])
