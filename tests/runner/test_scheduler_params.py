from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Optional

import pytest

from torchx.runner.scheduler_params import FromEnv, SchedulerParameterError, params_for
from torchx.runner.scheduler_params import params_from_env as from_env
from torchx.schedulers import DeferredSchedulerFactory
from torchx.util.entrypoints import DeferredEntryPoint

if TYPE_CHECKING:

    class Client: ...


LOCAL = "torchx.schedulers.local_scheduler"


def typed(
    session_name: str,
    count: int = 1,
    rate: Optional[float] = None,  # noqa: UP045 - the older spelling must be understood too
    verbose: bool = False,
    host: str | None = None,
    paths: list[str] | None = None,
    either: int | str = "",
    client: Client | None = None,
    anything: object = None,
    **kwargs: object,
) -> Any:
    return None


def untyped(session_name, count=1, host=None):  # type: ignore[no-untyped-def]  # on purpose
    return None


class Scheduler:
    def __init__(self, session_name: str, count: int = 1) -> None: ...


def fitted(factory: Callable[..., Any], **texts: str) -> dict[str, object]:
    return params_for(factory, {name: FromEnv(text) for name, text in texts.items()})


def test_variables_become_parameters_in_any_case() -> None:
    env = {"TORCHX_DOCKER_HOST": "h", "torchx_Region": "r", "TORCHXCONFIG": "f", "HOME": "/"}
    assert from_env(env) == {"docker_host": "h", "region": "r"}


@pytest.mark.parametrize(
    "name",
    [
        "TORCHX_",
        "TORCHX_HOME",
        "TORCHX_IMAGE",
        "TORCHX_INTERNAL_SESSION_ID",
        "TORCHX_JOB_ID",
        "TORCHX_PROFILE",
        "TORCHX_CFG_SLURM_PARTITION",
        "TORCHX_PARENT_RUN_ID",
        "TORCHX_RANK0_HOST",
        "TORCHX_SESSION_NAME",
        "TORCHX_TRACKERS",
        "TORCHX_TRACKER_FSSPEC_CONFIG",
        "TORCHX_MCAD_TRAINER_0_HOSTS",
    ],
)
def test_what_torchx_itself_uses_is_no_parameter(name: str) -> None:
    assert from_env({name: "x"}) == {}


def test_text_gets_the_type_that_the_factory_names() -> None:
    texts = {
        "count": "10",
        "rate": "0.5",
        "verbose": "yes",
        "host": "10",
        "paths": "/a,/b",
        "either": "7",
        "anything": "x",
        "more": "kept",
    }
    assert fitted(typed, **texts) == {
        "count": 10,
        "rate": 0.5,
        "verbose": True,
        "host": "10",
        "paths": ["/a", "/b"],
        "either": "7",
        "anything": "x",
        "more": "kept",
    }


def test_what_text_cannot_become_is_left_out() -> None:
    assert fitted(typed, client="x") == {}


def test_a_default_tells_the_type_where_no_annotation_does() -> None:
    assert fitted(untyped, count="10", host="h") == {"count": 10, "host": "h"}


def test_a_factory_that_takes_only_its_own_parameters_gets_no_others() -> None:
    assert fitted(Scheduler, count="2", other="x") == {"count": 2}


def test_given_parameters_are_handed_on_as_they_are() -> None:
    assert params_for(Scheduler, {"count": "text", "other": 1}) == {"count": "text", "other": 1}  # type: ignore[arg-type]  # a class is as good as a factory


def test_text_of_the_wrong_type_names_the_variable() -> None:
    with pytest.raises(SchedulerParameterError, match="TORCHX_COUNT") as caught:
        fitted(typed, count="many")
    assert "unset TORCHX_COUNT" in caught.value.hint


@pytest.mark.parametrize(
    "factory",
    [
        DeferredSchedulerFactory(LOCAL),
        DeferredEntryPoint(EntryPoint("l", f"{LOCAL}:create_scheduler", "torchx.schedulers")),
    ],
)
def test_the_parameters_of_a_factory_that_is_not_loaded_yet_are_known(
    factory: Callable[..., Any],
) -> None:
    params = fitted(factory, cache_size="10", image_provider_class="x", unrelated="y")
    assert params == {"cache_size": 10, "unrelated": "y"}


def test_a_factory_that_shows_no_signature_gets_text() -> None:
    class Opaque:
        __signature__ = "none"

        def __call__(self, *args: object, **kwargs: object) -> Any:
            return None

    assert fitted(Opaque(), count="10") == {"count": "10"}
