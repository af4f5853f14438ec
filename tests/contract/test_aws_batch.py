"""The conformance suite on the scheduler ``aws_batch``, with moto and a real Docker engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.aws.server import IMAGE, BatchHarness, own_queue, use_server
from tests.real.docker.pushing import need_registry
from torchx.specs import AppDef, AppState, BindMount
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.processes import HOLD_LOCK, is_alive
from torchx.testing.cases.programs import EXIT_WITH, PRINT_AND_HANG, SUCCEED
from torchx.testing.waiting import eventually

WRITE_ENV = """
import json, os, socket, sys
with open(f"{sys.argv[1]}/{socket.gethostname()}", "w") as file:
    json.dump(dict(os.environ), file)
"""

ONE_STREAM = (
    "moto gives the output of all nodes of a job to one log stream, and knows no jobs `ID#NODE`,"
    " whose descriptions name the stream of each node"
)
NO_INDEX = "moto does not set AWS_BATCH_JOB_NODE_INDEX, so that nodes do not know their number"
STRIPS = "moto strips blanks from both ends of each line of a log"
EVENTS = "CloudWatch keeps events, not bytes: the last line is as complete as all others"
SPLITS = "moto makes two events of a line where the engine cuts it, at 16 KiB"

MISSING = {
    Capability.CANCEL_PENDING: "moto starts every job at once",
    Capability.ERROR_FILE: "AWS Batch brings no files back",
    Capability.EXIT_CODE: "moto's DescribeJobs leaves out the exit code, in `container` and"
    " `attempts`",
    Capability.FOLLOW_LOGS: "moto gives the output of a container to CloudWatch after its end",
    Capability.RANK0_HOST: NO_INDEX,
    Capability.REPLICA_STATUS: "moto's ListJobs ignores `multiNodeJobId`",
    Capability.RETRY_APPLICATION: "moto makes one attempt, whatever the retry strategy says",
    Capability.RETRY_REPLICA: "AWS Batch tries the whole job again",
    Capability.RETRY_ROLE: "AWS Batch tries the whole job again",
    Capability.SEPARATE_STREAMS: "CloudWatch does not tell the outputs of a container apart",
}

CANNOT = {
    "test_a_log_followed_from_the_start_is_whole": ONE_STREAM,
    "test_a_long_log_is_whole_and_in_order": STRIPS,
    "test_a_running_app_has_the_log_so_far": MISSING[Capability.FOLLOW_LOGS],
    "test_binary_garbage_does_no_harm": "moto decodes the output as UTF-8, and fails the job if it"
    " is none",
    "test_hostile_names_are_harmless": ONE_STREAM,
    "test_many_replicas_of_many_roles_run": NO_INDEX,
    "test_one_very_long_line_is_one_line": SPLITS,
    "test_the_end_of_a_log_is_as_it_was_written": EVENTS,
    "test_what_is_told_after_a_kill_in_the_middle_of_a_launch_is_true": NO_INDEX,
}
"""Cases that the server, or the service, cannot do, and why."""

pytestmark = pytest.mark.filterwarnings("ignore:Cannot determine the instance type")


@pytest.fixture
def harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[BatchHarness]:
    if reason := CANNOT.get(request.function.__name__):
        pytest.skip(reason)
    use_server(monkeypatch)
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with (
        own_queue() as queue,
        BatchHarness(
            "aws_batch",
            missing=MISSING,
            cfg={"queue": queue},
            list_cfg={"queue": queue},
            image=IMAGE,
            python="python3",
            workspace_cfg={"image_repo": need_registry()},
            shared_dir=place / "shared",
            shared_dir_in_job="/contract-shared",
            shared_mounts=[BindMount(src_path=str(place / "shared"), dst_path="/contract-shared")],
            # What AWS Batch accepts, and what fits a line of the engine in hexadecimal digits.
            longest_argument_bytes=3_000,
            unknown_app_id=f"{queue}:does-not-exist",
        ) as harness,
    ):
        yield harness


class TestAwsBatch(SchedulerContract):
    """Some cases in the form that the server can do: without numbers or logs of running nodes."""

    def test_one_failed_replica_fails_the_app(self, harness: SchedulerHarness) -> None:
        good = harness.role(SUCCEED, name="good", num_replicas=2)
        bad = harness.role(EXIT_WITH, "1", name="bad")
        assert harness.launch(good, bad).wait().state == AppState.FAILED

    def test_another_process_sees_a_running_app(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=2))
        job.follow().wait_for_line("started")
        with harness.second_process() as other:
            assert other.call("status", job.handle).state == AppState.RUNNING
            listed = other.call("list", harness.scheduler, harness.list_cfg)
            assert [(app.app_handle, app.state) for app in listed] == [
                (job.handle, AppState.RUNNING)
            ]
            app = other.call("describe", job.handle)
            assert [(role.name, role.num_replicas) for role in app.roles] == [("job", 2)]

    def test_a_killed_launcher_loses_nothing(self, harness: SchedulerHarness) -> None:
        launcher = harness.second_process()
        app = AppDef("contract", [harness.role(PRINT_AND_HANG)])
        job = harness.job(launcher.call("run", app, harness.scheduler, dict(harness.cfg)))
        job.follow().wait_for_line("started")
        launcher.kill()
        assert job.status().state == AppState.RUNNING
        job.cancel()
        assert job.wait().state == AppState.CANCELLED
        assert job.log() == ["started\n"]

    def test_a_cancelled_app_really_has_ended(self, harness: SchedulerHarness) -> None:
        here, in_job = harness.shared()
        roles = [
            harness.role(HOLD_LOCK, f"{in_job}/{name}", name=name) for name in ("first", "second")
        ]
        job = harness.launch(*roles)
        eventually(lambda: len(list(here.iterdir())) == 2, "start of both", harness.timeout_s)
        eventually(
            lambda: all(is_alive(path) for path in here.iterdir()), "locks", harness.timeout_s
        )
        job.cancel()
        assert job.wait().state == AppState.CANCELLED
        # moto calls a job ended when the first of its containers is, and then ends the others.
        eventually(
            lambda: not any(is_alive(path) for path in here.iterdir()), "end", harness.timeout_s
        )

    def test_nodes_know_their_role_and_the_main_node(self, harness: SchedulerHarness) -> None:
        here, in_job = harness.shared()
        roles = [
            harness.role(WRITE_ENV, in_job, name=name, num_replicas=size)
            for name, size in (("reader", 3), ("trainer", 4), ("writer", 1))
        ]
        job = harness.launch(*roles)
        assert job.wait().state == AppState.SUCCEEDED
        seen = [json.loads(path.read_text()) for path in here.iterdir()]
        roles_seen = sorted((env["TORCHX_ROLE_IDX"], env["TORCHX_ROLE_NAME"]) for env in seen)
        expected = [("0", "reader")] * 3 + [("1", "trainer")] * 4 + [("2", "writer")]
        assert roles_seen == expected
        assert {env["TORCHX_JOB_ID"] for env in seen} == {job.handle}
        main_nodes = [env.get("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS") for env in seen]
        assert main_nodes.count(None) == 1
        assert len(set(main_nodes)) == 2
