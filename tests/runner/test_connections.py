from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from torchx.runner import Runner
from torchx.specs import AppDef, UnknownSchedulerException
from torchx.util.foreign import PluginLoadError

if TYPE_CHECKING:
    from tests.runner.conftest import MemoryScheduler

    Factory = Callable[..., MemoryScheduler]


@pytest.fixture
def factory(memory: MemoryScheduler) -> Factory:
    return type(memory)


def test_a_scheduler_is_created_with_the_session_and_the_parameters(factory: Factory) -> None:
    with Runner("mine", {"a": factory}, scheduler_params={"given": 1}) as runner:
        scheduler: Any = runner._scheduler("a")
    assert (scheduler.session_name, scheduler.params) == ("mine", {"given": 1})


def test_given_parameters_win_over_the_environment(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_DOCKER_HOST", "env")
    monkeypatch.setenv("TORCHX_REGION", "env")
    with Runner("", {"a": factory}, scheduler_params={"region": "given"}) as runner:
        scheduler: Any = runner._scheduler("a")
    assert scheduler.params == {"docker_host": "env", "region": "given"}


def test_any_variable_of_a_surrounding_job_reaches_no_scheduler(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SESSION_NAME", "JOB_ID", "HOME", "IMAGE", "TRACKERS", "TRACKER_T_CONFIG"):
        monkeypatch.setenv(f"TORCHX_{name}", "x")
    with Runner("mine", {"a": factory}) as runner:
        scheduler: Any = runner._scheduler("a")
    assert (scheduler.session_name, scheduler.params) == ("mine", {})


def test_threads_share_one_scheduler(factory: Factory) -> None:
    threads = 8
    together = threading.Barrier(threads)
    created: list[MemoryScheduler] = []

    def create(session_name: str, **_: object) -> MemoryScheduler:
        created.append(factory(session_name))
        return created[-1]

    runner = Runner("", {"a": create})

    def use() -> object:
        together.wait()
        return runner._scheduler("a")

    with ThreadPoolExecutor(threads) as pool:
        used = {id(done.result()) for done in [pool.submit(use) for _ in range(threads)]}
    assert (len(created), len(used)) == (1, 1)


def test_a_scheduler_that_cannot_be_created_is_tried_again(factory: Factory) -> None:
    answers: list[Exception | MemoryScheduler] = [OSError("no daemon"), factory()]

    def create(session_name: str, **_: object) -> MemoryScheduler:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    runner = Runner("", {"a": create})
    with pytest.raises(OSError, match="no daemon"):
        runner.scheduler_run_opts("a")
    assert "queue" in dict(runner.scheduler_run_opts("a"))


def test_an_entry_point_that_names_a_module_is_no_scheduler() -> None:
    create: Any = lambda session_name: threading  # noqa: E731 - as an entry point yields it
    with (
        Runner("", {"a": create}) as runner,
        pytest.raises(PluginLoadError, match="`a` is the module threading"),
    ):
        runner._scheduler("a")


def test_only_used_schedulers_are_closed_each_time(factory: Factory) -> None:
    with Runner("", {"a": factory, "b": factory}) as runner:
        used: Any = runner._scheduler("a")
    assert used.calls.close == 1
    runner.close()
    assert used.calls.close == 2


def test_one_scheduler_that_cannot_be_closed_does_not_keep_others_open(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner("", dict.fromkeys("abc", factory))
    first, second, third = (runner._scheduler(name) for name in "abc")
    assert runner

    def fail(message: str) -> None:
        raise OSError(message)

    monkeypatch.setattr(first, "close", lambda: fail("first"))
    monkeypatch.setattr(second, "close", lambda: fail("second"))
    with pytest.raises(OSError, match="first"):
        runner.close()
    assert vars(third)["calls"].close == 1
    assert "second" in caplog.text


def test_an_error_inside_the_block_is_not_hidden_by_closing(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("cannot close")

    def work() -> None:
        with Runner("", {"a": factory}) as runner:
            monkeypatch.setattr(runner._scheduler("a"), "close", fail)
            raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        work()
    assert "cannot close" in caplog.text


def test_run_options_are_read_from_several_texts(runner: Runner) -> None:
    assert runner.cfg_from_str("memory", "queue=a,tags=x;y", "queue=b", "nodes=42") == {
        "queue": "b",
        "tags": ["x", "y"],
        "nodes": 42,
    }


def test_an_unknown_scheduler_is_an_error_everywhere(runner: Runner) -> None:
    with pytest.raises(UnknownSchedulerException):
        runner.scheduler_run_opts("nope")
    with pytest.raises(KeyError):
        runner.status("nope://s/a")


def test_a_runner_shows_its_name_schedulers_and_apps() -> None:
    assert repr(Runner("n", {})) == "Runner(name=n, schedulers={}, apps={})"


def test_a_double_that_skips_the_constructor_works() -> None:
    class Double(Runner):
        def __init__(self) -> None:
            pass

        def describe(self, app_handle: str) -> AppDef | None:
            return AppDef(app_handle)

    double = Double()
    assert double
    assert double.describe("h") == AppDef("h")
