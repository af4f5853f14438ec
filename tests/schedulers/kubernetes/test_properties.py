"""Whatever the app: requests are valid, and replicas get what their role says, byte for byte."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.schedulers.kubernetes.expansion_rules import seen_by
from tests.schedulers.kubernetes.strict import check_strictly
from torchx.schedulers.kubernetes.schema import faults_of
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts
from torchx.specs import (
    AppDef,
    BindMount,
    ConfigMapMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    SecretMount,
    VolumeMount,
    macros,
)
from torchx.specs.macros import escape_macros
from torchx.specs.mounts import Mount

_NO_CONTROL = st.characters(codec="utf-8", exclude_characters="\0\ufdd0")
_TEXT = st.one_of(
    st.text(_NO_CONTROL, max_size=20),
    st.lists(
        st.sampled_from(["$", "(", ")", "$(HOME)", "$$", "A", "`", "'", '"', "\n", "\\", ",", "é"]),
        max_size=8,
    ).map("".join),
)
_NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
_MOUNTS: list[Mount] = [
    BindMount("/a", "/b", read_only=True),
    VolumeMount("claim", "/c"),
    DeviceMount("/dev/d", "/dev/e", "rw"),
    SecretMount("token", "/f"),
    ConfigMapMount("cfg", "/g"),
]
_RESOURCE = st.builds(
    Resource,
    cpu=st.integers(-1, 4),
    gpu=st.integers(-1, 2),
    memMB=st.integers(-1, 3000),
    devices=st.dictionaries(st.sampled_from(["vpc.amazonaws.com/efa", "a.b/c"]), st.integers(0, 4)),
)


@st.composite
def _roles(draw: st.DrawFn) -> list[Role]:
    names = draw(
        st.lists(_NAME, min_size=1, max_size=3, unique_by=lambda n: n.lower().replace("_", ""))
    )
    return [
        Role(
            name,
            "repo/img:1",
            entrypoint=escape_macros(draw(_TEXT)),
            args=[escape_macros(text) for text in draw(st.lists(_TEXT, max_size=3))],
            env={
                key: escape_macros(text)
                for key, text in draw(st.dictionaries(_NAME, _TEXT, max_size=3)).items()
            },
            num_replicas=draw(st.integers(1, 3)),
            max_retries=draw(st.integers(0, 2)),
            retry_policy=draw(st.sampled_from(RetryPolicy)),
            resource=draw(_RESOURCE),
            port_map=draw(st.dictionaries(st.sampled_from(["http", "c10d"]), st.integers(1, 9000))),
            mounts=draw(st.lists(st.sampled_from(_MOUNTS), max_size=3)),
        )
        for name in names
    ]


def _requested(roles: list[Role], **options: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cfg = Opts(validate_spec=False, **options)
        request = KubernetesScheduler("s").submit_dryrun(AppDef("my_app", roles), cfg).request
    objects: list[dict[str, Any]] = request.data()
    return objects


def _check(objects: list[dict[str, Any]]) -> None:
    for item in objects:
        check_strictly(item)
    assert not faults_of(objects)


def _expected(
    role: Role, replica_id: int, app_id: str, rank0_env: str
) -> tuple[list[str], dict[str, str]]:
    values = macros.Values("", app_id, str(replica_id), rank0_env)
    replica = values.apply(role)
    return [replica.entrypoint, *replica.args], replica.env


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(_roles(), st.booleans())
def test_plain_jobs(roles: list[Role], with_number: bool) -> None:
    if with_number:
        for role in roles:
            role.args.append(f"$(date) {macros.replica_id} $(A) {macros.rank0_env}")
            role.env["NUMBER"] = f"$$(A) {macros.replica_id}"
    objects = _requested(roles)
    _check(objects)
    jobs = [item for item in objects if item["kind"] == "Job"]
    app_id = jobs[0]["metadata"]["labels"]["app.kubernetes.io/instance"]
    for role, job in zip(roles, jobs, strict=True):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        for replica_id in range(role.num_replicas):
            command, env = seen_by(container, {}, replica_id)
            expected, expected_env = _expected(role, replica_id, app_id, "TORCHX_RANK0_HOST")
            assert command == expected
            assert expected_env.items() <= env.items()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(_roles())
def test_volcano_jobs(roles: list[Role]) -> None:
    for role in roles:
        role.args.append(f"$(date) {macros.replica_id} $(A)")
    objects = _requested(roles, queue="q")
    _check(objects)
    (job,) = objects
    replicas = [(role, number) for role in roles for number in range(role.num_replicas)]
    for (role, number), task in zip(replicas, job["spec"]["tasks"], strict=True):
        (container,) = task["template"]["spec"]["containers"]
        command, env = seen_by(container, {})
        expected, expected_env = _expected(role, number, job["metadata"]["name"], "")
        assert command == expected
        assert expected_env.items() <= env.items()
