from __future__ import annotations

import pytest

from torchx.runner.config_options import (
    OptionLayer,
    layer_of_environment,
    merge,
    variable_of,
    variables_for,
)
from torchx.specs import runopts
from torchx.util.config_file import ConfigFileError


@pytest.fixture
def opts() -> runopts:
    opts = runopts()
    opts.add("job_queue", type_=str, help="where")
    opts.add("nodes", type_=int, help="how many", default=1)
    opts.add("a.b", type_=str, help="nested")
    opts.add("tags", type_=list[str], help="labels")
    return opts


def environment(opts: runopts, scheduler: str = "my-sched", **variables: str) -> OptionLayer:
    return layer_of_environment(scheduler, variables, opts)


def test_variables_are_named_in_capitals_and_underscores(opts: runopts) -> None:
    assert variable_of("my-sched", "a.b") == "TORCHX_CFG_MY_SCHED_A_B"
    layer = environment(
        opts,
        TORCHX_CFG_MY_SCHED_JOB_QUEUE="50% of #1",
        TORCHX_CFG_MY_SCHED_NODES="3",
        TORCHX_CFG_MY_SCHED_A_B="x",
        TORCHX_CFG_MY_SCHED_TAGS="a,b",
    )
    found = {name: option.value for name, option in merge(opts, [layer]).items()}
    assert found == {"job_queue": "50% of #1", "nodes": 3, "a.b": "x", "tags": ["a", "b"]}


def test_the_environment_wins_over_files_and_what_is_given_over_both(opts: runopts) -> None:
    layer = environment(opts, TORCHX_CFG_MY_SCHED_NODES="3", TORCHX_CFG_MY_SCHED_JOB_QUEUE="e")
    file = OptionLayer({"nodes": "4", "tags": "t"}, "file", "my-sched")
    found = merge(opts, [layer, file], given=["jobQueue"])
    assert {name: tuple(option) for name, option in found.items()} == {
        "nodes": (3, "environment TORCHX_CFG_MY_SCHED_NODES"),
        "tags": (["t"], "file [my-sched]"),
    }


def test_a_scheduler_of_a_longer_name_keeps_its_variables() -> None:
    names = ["kubernetes", "kubernetes_mcad"]
    env = {
        "TORCHX_CFG_KUBERNETES_QUEUE": "q",
        "TORCHX_CFG_KUBERNETES_MCAD_QUEUE": "m",
        "TORCHX_KUBERNETES_QUEUE": "of the factory",
    }
    assert list(variables_for("kubernetes", names, env)) == ["TORCHX_CFG_KUBERNETES_QUEUE"]
    assert list(variables_for("kubernetes_mcad", names, env)) == [
        "TORCHX_CFG_KUBERNETES_MCAD_QUEUE"
    ]


def test_a_misspelt_variable_is_named_with_the_closest(opts: runopts) -> None:
    layer = environment(opts, TORCHX_CFG_MY_SCHED_NODS="3", TORCHX_CFG_MY_SCHED_NODES="3")
    (unknown,) = layer.unknown(opts)
    assert str(unknown) == (
        "environment variable TORCHX_CFG_MY_SCHED_NODS: unknown run option,"
        " did you mean `TORCHX_CFG_MY_SCHED_NODES`?"
    )


def test_a_value_that_does_not_fit_names_the_variable(opts: runopts) -> None:
    layer = environment(opts, TORCHX_CFG_MY_SCHED_NODES="many")
    with pytest.raises(
        ConfigFileError, match="environment variable TORCHX_CFG_MY_SCHED_NODES: `many` is no int"
    ):
        merge(opts, [layer])
