from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.schedulers.kubernetes.conftest import app
from torchx.schedulers.kubernetes.options import Opts, options_of
from torchx.schedulers.kubernetes.tolerations import parse_toleration
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler
from torchx.specs import InvalidRunConfigException


def test_all_have_defaults_and_help(scheduler: KubernetesScheduler) -> None:
    resolved = scheduler.run_opts().resolve({})
    assert options_of(resolved) == Opts()
    assert all(option.help != name for name, option in scheduler.run_opts())


def test_they_are_read_from_text_like_any_other(scheduler: KubernetesScheduler) -> None:
    text = (
        "queue=q,nodeSelector=zone:a;example.com/gpu:b,tolerations=dedicated:ml:NoSchedule;gpu,"
        "image_secret=reg,max_duration_s=60"
    )
    given = scheduler.run_opts().cfg_from_str(text)
    assert (
        scheduler.run_opts().resolve(given).items()
        >= {
            "queue": "q",
            "node_selector": {"zone": "a", "example.com/gpu": "b"},
            "tolerations": ["dedicated:ml:NoSchedule", "gpu"],
            "image_secret": ["reg"],
            "max_duration_s": 60,
        }.items()
    )


def test_wrong_types_are_refused(scheduler: KubernetesScheduler) -> None:
    for wrong in ({"queue": 3}, {"ttl_s": "x"}, {"tolerations": "gpu"}):
        with pytest.raises(InvalidRunConfigException, match=f"option: {next(iter(wrong))}"):
            scheduler.run_opts().resolve(wrong)


def test_the_context_chooses_the_cluster_but_for_a_given_client(
    scheduler: KubernetesScheduler,
) -> None:
    client = MagicMock()
    given = KubernetesScheduler("s", client=client)
    scheduler._client = client
    for one in (scheduler, given):
        one.submit_dryrun(app(), Opts(context="prod", validate_spec=False))
        assert one.context == "prod"
    assert [scheduler._client, given._client] == [None, client]


def test_none_is_the_default() -> None:
    cfg: dict[str, Any] = {"reserved_millicpu": None, "reserved_memmb": None, "namespace": ""}
    assert options_of(cfg) == Opts()


@pytest.mark.parametrize("name", ["service_account", "priority_class", "reserved_memmb", "ttl_s"])
def test_types_are_asserted_without_a_runner(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        options_of({name: []})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"queue": "q", "kueue_queue": "k"}, "`kueue_queue` is for plain Jobs"),
        ({"queue": "q", "max_duration_s": 1}, "`max_duration_s` is for plain Jobs"),
        ({"image_pull_policy": "Sometimes"}, "one of Always, IfNotPresent, Never, not `Sometimes`"),
        ({"max_duration_s": 0}, "at least 1"),
        ({"ttl_s": 0}, "nobody could tell whether it succeeded"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options_of(given)


@pytest.mark.parametrize(
    ("text", "toleration"),
    [
        ("a=b:NoExecute", {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"}),
        ("a:b:NoExecute", {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"}),
        ("a=:NoSchedule", {"key": "a", "operator": "Equal", "value": "", "effect": "NoSchedule"}),
        ("a:NoSchedule", {"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
        ("a=b", {"key": "a", "operator": "Equal", "value": "b"}),
        ("a", {"key": "a", "operator": "Exists"}),
        ("*", {"operator": "Exists"}),
    ],
)
def test_tolerations(text: str, toleration: dict[str, str]) -> None:
    assert parse_toleration(text) == toleration


@pytest.mark.parametrize("text", ["", "=b", "a:Never", ":NoSchedule", "*=b"])
def test_what_is_no_toleration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no toleration: write it as key=value:Effect"):
        parse_toleration(text)
