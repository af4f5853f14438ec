"""What goes beyond the published request: several roles, hostile names, overlays, quotas, size."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedulers.kubernetes.strict import check_strictly
from tests.schedulers.kubernetes_mcad.published import a_role, an_app
from torchx.schedulers.kubernetes_mcad import options
from torchx.schedulers.kubernetes_mcad.appwrapper import unmet_retries
from torchx.schedulers.kubernetes_mcad_scheduler import (
    KubernetesMCADScheduler,
    Opts,
    cleanup_str,
    create_scheduler,
    get_unique_truncated_appid,
)
from torchx.specs import AppDef, ConfigMapMount, Resource, RetryPolicy, Role, SecretMount, macros
from torchx.specs.overlays import JOIN

DNS_LABEL = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def data_of(scheduler: KubernetesMCADScheduler, app: AppDef, **cfg: Any) -> dict[str, Any]:
    info = scheduler.submit_dryrun(app, cfg)  # type: ignore[arg-type]
    data: dict[str, Any] = info.request.data()
    return data


def templates_of(appwrapper: dict[str, Any], kind: str = "Pod") -> list[dict[str, Any]]:
    items = appwrapper["spec"]["resources"]["GenericItems"]
    templates = [item["generictemplate"] for item in items]
    return [template for template in templates if template["kind"] == kind]


def env_of(pod: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0]["env"]}


def test_replicas_of_several_roles_have_names_of_their_own(
    scheduler: KubernetesMCADScheduler,
) -> None:
    app = AppDef("demo", [a_role(name="a", num_replicas=2), a_role(name="b", num_replicas=2)])
    made = data_of(scheduler, app)
    name = made["metadata"]["name"]
    pods = templates_of(made)
    suffixes = ["-0", "-1", "-r1-0", "-r1-1"]
    assert [pod["metadata"]["name"] for pod in pods] == [f"{name}{suffix}" for suffix in suffixes]
    assert [pod["spec"]["hostname"] for pod in pods] == [pod["metadata"]["name"] for pod in pods]


def test_the_first_host_is_known_to_all_roles(scheduler: KubernetesMCADScheduler) -> None:
    roles = [a_role(name=name, args=[macros.rank0_env]) for name in ("my-lead", "other")]
    made = data_of(scheduler, AppDef("demo", roles))
    name = made["metadata"]["name"]
    other = templates_of(made)[1]
    (variable,) = other["spec"]["containers"][0]["command"][1:]
    assert variable == "TORCHX_MCAD_MYLEAD_0_HOSTS"
    assert env_of(other)[variable] == f"{name}-0.{name}"


def test_a_role_name_that_no_label_holds_is_kept(scheduler: KubernetesMCADScheduler) -> None:
    (pod,) = templates_of(data_of(scheduler, an_app(name="a; 'b' straße")))
    annotations, labels = pod["metadata"]["annotations"], pod["metadata"]["labels"]
    assert annotations["torchx.pytorch.org/role-name"] == "a; 'b' straße"
    assert labels["torchx.pytorch.org/role-name"] == "a...b..stra.e"


def test_text_arrives_unchanged(scheduler: KubernetesMCADScheduler) -> None:
    role = a_role(args=["$(HOME)", "$$(X)"], env={"A": "$(B)", "IP": "[FIELD_PATH]status.podIP"})
    (pod,) = templates_of(data_of(scheduler, AppDef("demo", [role])))
    container = pod["spec"]["containers"][0]
    assert container["command"][1:] == ["$$(HOME)", "$$$$(X)"]
    assert container["env"][0] == {"name": "A", "value": "$$(B)"}
    source = {"fieldRef": {"fieldPath": "status.podIP"}}
    assert container["env"][1] == {"name": "IP", "valueFrom": source}


def test_overlays_reach_every_replica(scheduler: KubernetesMCADScheduler) -> None:
    toleration = {"key": "gpu", "operator": "Exists"}
    main = {"name": "main", "imagePullPolicy": "Always"}
    overlay = {
        "spec": {"tolerations": [toleration], JOIN("containers", on="name"): [main]},
        "metadata": {"annotations": {"k": f"replica {macros.replica_id}"}},
    }
    role = a_role(num_replicas=3, metadata={"kubernetes": {"V1Pod": overlay}})
    pods = templates_of(data_of(scheduler, AppDef("demo", [role])))
    for number, pod in enumerate(pods):
        assert pod["spec"]["tolerations"] == [toleration]
        (container,) = pod["spec"]["containers"]
        assert container["imagePullPolicy"] == "Always"
        assert container["image"] == role.image
        assert pod["metadata"]["annotations"]["k"] == f"replica {number}"
        assert pod["kind"] == "Pod"


def test_secrets_of_the_cluster_are_mounted(scheduler: KubernetesMCADScheduler) -> None:
    mounts = [SecretMount("keys", "/keys"), ConfigMapMount("conf", "/conf")]
    (pod,) = templates_of(data_of(scheduler, an_app(mounts=mounts)))
    assert pod["spec"]["volumes"][1]["secret"] == {"secretName": "keys"}
    assert pod["spec"]["volumes"][2]["configMap"] == {"name": "conf"}


def test_quotas_are_labels_of_the_appwrapper(scheduler: KubernetesMCADScheduler) -> None:
    labels = {"quota_context": "bronze", "quota_service": "s1"}
    assert data_of(scheduler, an_app(), quota_labels=labels)["metadata"]["labels"] == labels
    with pytest.raises(ValueError, match="`quota_context` the value `a b`"):
        data_of(scheduler, an_app(), quota_labels={"quota_context": "a b"})


def test_when_to_look_for_failures_is_an_option(scheduler: KubernetesMCADScheduler) -> None:
    made = data_of(scheduler, an_app(), requeue_after_s=60)
    assert made["spec"]["schedulingSpec"]["requeuing"]["timeInSeconds"] == 60
    with pytest.raises(ValueError, match="at least 1"):
        data_of(scheduler, an_app(), requeue_after_s=0)


def test_extensions_are_options_like_any_other(scheduler: KubernetesMCADScheduler) -> None:
    assert {"quota_labels", "requeue_after_s", "validate_spec"} <= dict(scheduler.run_opts()).keys()
    assert options.options_of({"unknown": 1}) == Opts()


def test_secrets_are_not_printed(scheduler: KubernetesMCADScheduler) -> None:
    info = scheduler.submit_dryrun(an_app(env={"HF_TOKEN": "hf_verysecret"}), Opts())
    assert "hf_verysecret" not in str(info)
    assert "hf_verysecret" in json.dumps(info.request.data())
    assert "imagePullSecrets:\n          - {}\n" in str(info)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_replicas": 0}, "at least one"),
        ({"port_map": {"Not_A_Name": 1}}, "cannot be the name of a port"),
        ({"port_map": {"p": 70000}}, "must be 1 to 65535"),
    ],
)
def test_faults_are_told_before_anything_is_sent(
    scheduler: KubernetesMCADScheduler, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data_of(scheduler, an_app(**fields))


def test_an_app_without_roles_is_refused(scheduler: KubernetesMCADScheduler) -> None:
    with pytest.raises(ValueError, match="has no roles"):
        data_of(scheduler, AppDef("empty"))


def test_a_variable_that_is_no_text_is_refused(scheduler: KubernetesMCADScheduler) -> None:
    with pytest.raises(TypeError, match="variable N of role 'trainer_foo'"):
        data_of(scheduler, an_app(env={"N": 1}))


def test_what_mcad_would_wrap_and_no_node_run_is_refused(
    scheduler: KubernetesMCADScheduler,
) -> None:
    overlay = {"V1Pod": {"spec": {"dnsPolicy": 3}}}
    with pytest.raises(ValueError, match=r"Invalid job spec: .*dnsPolicy"):
        data_of(scheduler, an_app(metadata={"kubernetes": overlay}))
    data_of(scheduler, an_app(metadata={"kubernetes": overlay}), validate_spec=False)


def test_an_appwrapper_that_is_too_large_is_warned_of(
    scheduler: KubernetesMCADScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    data_of(scheduler, an_app(num_replicas=20, env={"LONG": "x" * 100_000}))
    assert "clusters usually take 1.5 MB" in caplog.text


def test_retries_that_mcad_cannot_do_are_told() -> None:
    roles = [a_role(name="a", max_retries=1), a_role(name="b", max_retries=2)]
    assert unmet_retries(AppDef("x", roles)) == {
        "b": "the whole app is started again at most 1 times"
    }
    roles = [a_role(retry_policy=RetryPolicy.REPLICA, num_replicas=2)]
    assert unmet_retries(AppDef("x", roles)) == {"trainer_foo": "the whole app is started again"}
    assert unmet_retries(an_app(retry_policy=RetryPolicy.REPLICA)) == {}


def test_a_dry_run_does_not_change_the_app(scheduler: KubernetesMCADScheduler) -> None:
    app = an_app()
    data_of(scheduler, app)
    assert app == an_app()


def test_names_of_many_replicas_fit() -> None:
    with pytest.warns(UserWarning, match="too long"):
        name = get_unique_truncated_appid(AppDef("a" * 70, [a_role(num_replicas=12_345)]))
    assert len(f"{name}-12344") <= 63


@given(st.text())
def test_cleaned_names_begin_with_a_letter(text: str) -> None:
    cleaned = cleanup_str(text)
    assert cleaned == "" or cleaned[0].isalpha()
    assert cleanup_str(cleaned) == cleaned


names = st.text(max_size=80)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
roles = st.builds(
    Role,
    name=names,
    image=st.just("image:1"),
    entrypoint=texts,
    args=st.lists(texts, max_size=3),
    env=st.dictionaries(st.from_regex("[A-Z][A-Z_0-9]{0,8}", fullmatch=True), texts, max_size=3),
    num_replicas=st.integers(1, 3),
    max_retries=st.integers(0, 3),
    resource=st.builds(
        Resource, cpu=st.integers(-1, 4), gpu=st.integers(-1, 2), memMB=st.integers(-1, 4096)
    ),
    port_map=st.dictionaries(
        st.from_regex("[a-z][a-z0-9]{0,10}", fullmatch=True), st.integers(1, 65535), max_size=2
    ),
)
apps = st.builds(AppDef, name=names, roles=st.lists(roles, min_size=1, max_size=3))


@pytest.mark.filterwarnings("ignore:the name of the app")
@settings(max_examples=60, deadline=None)
@given(app=apps, cosched=st.none() | st.just("cosched"), network=st.none() | st.just("net"))
def test_any_app_is_what_the_cluster_takes(
    app: AppDef, cosched: str | None, network: str | None
) -> None:
    scheduler = create_scheduler("property")
    made = data_of(scheduler, app, coscheduler_name=cosched, network=network)
    check_strictly(made)
    found = set()
    for item in made["spec"]["resources"]["GenericItems"]:
        template = dict(item["generictemplate"])
        template.pop("status", None)
        check_strictly(template)
        name = template["metadata"]["name"]
        assert DNS_LABEL.fullmatch(name), name
        assert (template["kind"], name) not in found
        found.add((template["kind"], name))
        for value in template["metadata"]["labels"].values():
            assert re.fullmatch("([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value)
