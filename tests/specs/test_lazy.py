from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import torchx
from torchx.specs import lazy
from torchx.specs.api import _OVERRIDES_LOCK_KEY, Role, _OverridesLock

LIMIT_S = 30
"""How long a test waits for something that must happen before it calls that a deadlock."""


class Producer:
    """Counts how often it is asked for its value."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> object:
        self.calls += 1
        return self.value


def role_with(**overrides: object) -> Role:
    return Role("r", "field", overrides=overrides)


@pytest.fixture
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def produce(value: str) -> str:
    await asyncio.sleep(0)
    return value


def test_override_is_read_in_place_of_the_field_and_produced_once() -> None:
    producer = Producer("produced")
    role = role_with(image=producer)
    assert (role.image, role.image, role.name) == ("produced", "produced", "r")
    assert producer.calls == 1


def test_entry_stays_callable_once_it_is_resolved() -> None:
    role = role_with(image=Producer("produced"))
    assert role.image == "produced"
    assert role.overrides["image"]() == "produced"


@pytest.mark.parametrize("value", [None, "", 0, []])
def test_false_values_are_values(value: object) -> None:
    producer = Producer(value)
    role = role_with(image=producer)
    assert role.image == value == role.image
    assert producer.calls == 1


def test_producer_may_wait_for_a_future_of_a_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        future: Future[str] = pool.submit(lambda: "produced")
        assert role_with(image=future.result).image == "produced"


def test_overrides_added_after_construction_are_read() -> None:
    role = Role("r", "field")
    assert role.image == "field"
    role.overrides["image"] = Producer("produced")
    assert role.image == "produced"
    given: dict[str, Any] = {}
    role = Role("r", "field", overrides=given)
    given["image"] = Producer("late")
    assert role.image == "late"
    role.overrides = {}
    assert role.image == "field"


def test_roles_without_overrides_are_plain_objects_in_a_fresh_process() -> None:
    program = (
        "from torchx.specs import Role, macros\n"
        "role = Role('r', 'i')\n"
        "macros.Values('', '', '', '').apply(role)\n"
        "assert '__getattribute__' not in vars(Role) and '__setattr__' not in vars(Role)\n"
        "Role('r', 'i', overrides={'image': lambda: 'x'})\n"
        "assert '__getattribute__' in vars(Role)\n"
        "assert role.image == 'i'\n"
    )
    root = Path(torchx.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)


def test_unpickled_overrides_are_read_in_a_fresh_process() -> None:
    role = role_with(image=str, args=list)
    assert role.image == ""
    program = (
        "import pickle, sys\n"
        "role = pickle.loads(sys.stdin.buffer.read())\n"
        "assert (role.image, role.args) == ('', []), role\n"
    )
    root = Path(torchx.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, input=pickle.dumps(role))


def test_assignment_after_construction_wins_for_that_role_alone() -> None:
    shared: dict[str, Any] = {"image": Producer("produced")}
    role, other = Role("r", "field", overrides=shared), Role("r", "field", overrides=shared)
    role.image = "assigned"
    assert (role.image, other.image) == ("assigned", "produced")
    assert copy.deepcopy(role).image == "assigned"
    role.overrides = {"image": Producer("new")}
    assert role.image == "new"


def test_producer_that_fails_is_kept_and_tried_again() -> None:
    outcomes: list[Callable[[], str]] = [lambda: "produced"]

    def producer() -> str:
        if len(outcomes) == 1:
            outcomes.append(outcomes[0])
            raise OSError("not yet")
        return outcomes[0]()

    role = role_with(image=producer)
    with pytest.raises(OSError, match="not yet"):
        _ = role.image
    assert role.overrides["image"] is producer
    assert role.image == "produced"


def test_producer_may_read_another_override_of_the_same_role() -> None:
    role = role_with(name=Producer("produced"))
    role.overrides["image"] = lambda: f"{role.name}!"
    assert role.image == "produced!"


def test_coroutine_may_read_another_override_of_the_same_role() -> None:
    role = role_with()

    async def image() -> str:
        return f"{role.entrypoint}!"

    async def entrypoint() -> str:
        return f"{role.name}?"

    role.overrides.update(image=image, entrypoint=entrypoint(), name=Producer("produced"))
    assert role.image == "produced?!"


def test_many_readers_of_two_roles_run_a_shared_producer_once() -> None:
    num_readers = 8
    started = threading.Barrier(num_readers)
    producer = Producer("produced")
    shared: dict[str, Any] = {"image": producer}
    roles = [Role("r", "field", overrides=shared) for _ in range(2)]

    def read(index: int) -> str:
        started.wait(LIMIT_S)
        return roles[index % 2].image

    with ThreadPoolExecutor(num_readers) as pool:
        assert set(pool.map(read, range(num_readers))) == {"produced"}
    assert producer.calls == 1


def test_slow_producer_does_not_block_another_dict() -> None:
    entered, release = threading.Event(), threading.Event()

    def slow() -> str:
        entered.set()
        assert release.wait(LIMIT_S)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: role_with(image=slow).image)
        assert entered.wait(LIMIT_S)
        assert role_with(image=Producer("quick")).image == "quick"
        release.set()
        assert reading.result(LIMIT_S) == "slow"


def test_resolved_override_is_read_without_the_lock() -> None:
    role = role_with(image=Producer("produced"))
    assert role.image == "produced"
    with role.overrides[_OVERRIDES_LOCK_KEY].lock, ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: role.image).result(LIMIT_S) == "produced"


def test_lock_is_no_override() -> None:
    assert not _OVERRIDES_LOCK_KEY.isidentifier()
    assert not lazy.has_overrides(Role("r", "i", overrides={_OVERRIDES_LOCK_KEY: _OverridesLock()}))


def test_role_with_resolved_overrides_can_be_copied() -> None:
    role = role_with(args=Producer(["produced"]))
    assert role.args == ["produced"]
    duplicate = copy.deepcopy(role)
    assert duplicate.args == ["produced"]
    assert duplicate.args is not role.args
    assert duplicate.overrides[_OVERRIDES_LOCK_KEY] is role.overrides[_OVERRIDES_LOCK_KEY]
    assert dataclasses.asdict(role)["args"] == ["produced"]


@pytest.mark.parametrize("make", [lambda: produce("produced"), lambda: lambda: produce("produced")])
def test_coroutine_without_a_loop(make: Callable[[], object]) -> None:
    role = role_with(image=make())
    assert (role.image, role.image) == ("produced", "produced")


def test_coroutine_inside_of_a_running_loop() -> None:
    async def read() -> str:
        return role_with(image=produce("produced")).image

    assert asyncio.run(read()) == "produced"


def test_coroutine_leaves_the_loop_of_the_thread_alone() -> None:
    def read_twice() -> bool:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        role_with(image=produce("produced")).image.strip()
        is_same = asyncio.get_event_loop() is loop
        loop.close()
        return is_same

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read_twice).result(LIMIT_S)


def test_future_of_a_loop_that_does_not_run() -> None:
    loop = asyncio.new_event_loop()
    role = role_with(image=loop.create_task(produce("produced")))
    assert role.image == "produced"
    loop.close()


def test_future_that_is_done() -> None:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[str] = loop.create_future()
    future.set_result("produced")
    loop.close()
    assert role_with(image=future).image == "produced"


def test_future_of_a_loop_in_another_thread(loop_elsewhere: asyncio.AbstractEventLoop) -> None:
    async def start() -> Awaitable[str]:
        return asyncio.ensure_future(produce("produced"))

    async def read(role: Role) -> str:
        return role.image

    for _ in range(2):
        future = asyncio.run_coroutine_threadsafe(start(), loop_elsewhere).result(LIMIT_S)
        assert role_with(image=future).image == "produced"
        future = asyncio.run_coroutine_threadsafe(start(), loop_elsewhere).result(LIMIT_S)
        assert asyncio.run(read(role_with(image=future))) == "produced"


def test_future_of_an_idle_loop_inside_of_a_running_one() -> None:
    idle = asyncio.new_event_loop()
    role = role_with(image=idle.create_task(produce("produced")))

    async def read() -> str:
        return role.image

    assert asyncio.run(read()) == "produced"
    idle.close()


def test_future_of_the_loop_of_this_thread_is_an_error_and_is_kept() -> None:
    async def read() -> None:
        future = asyncio.ensure_future(produce("produced"))
        role = role_with(image=future)
        with pytest.raises(RuntimeError, match="currently running in this thread"):
            _ = role.image
        assert role.overrides["image"] is future
        assert await future == role.image == "produced"

    asyncio.run(read())
