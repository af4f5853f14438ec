"""Which calls are made, how often, and what becomes of their failures."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.schedulers.aws_sagemaker.service import Refused, Service
from torchx.runner import Runner, get_runner
from torchx.schedulers.abilities import (
    DescribesMany,
    LocatesLogs,
    PlansAppIds,
    PreviewsWorkspaces,
)
from torchx.schedulers.aws.errors import AwsAccessError, AwsError, AwsLoginError
from torchx.schedulers.aws_sagemaker_scheduler import AWSSageMakerScheduler, Opts, create_scheduler
from torchx.specs import AppDef, AppState, CfgVal, Role
from torchx.workspace.tree import WorkspaceError

Options = dict[str, CfgVal]


@pytest.fixture
def runner(service: Service) -> Iterator[Runner]:
    with get_runner() as runner:
        yield runner


@pytest.fixture
def scheduler(service: Service) -> Iterator[AWSSageMakerScheduler]:
    scheduler = create_scheduler("session")
    yield scheduler
    scheduler.close()


def an_app(*words: str) -> AppDef:
    first, *rest = words or ("true",)
    return AppDef("app", [Role("job", "image:1", entrypoint=first, args=rest)])


def submit(scheduler: AWSSageMakerScheduler, cfg: Options, *words: str) -> str:
    return scheduler.submit(an_app(*words), cast(Opts, cfg))


def refused(code: str, message: str = "no") -> list[Refused]:
    return [Refused(code, message)]


class TestNumberOfCalls:
    def test_a_dry_run_calls_nobody(self, service: Service, runner: Runner, cfg: Options) -> None:
        runner.dryrun(an_app(), "aws_sagemaker", cfg)
        assert service.calls == []

    def test_a_command_is_submitted_by_one_call(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        submit(scheduler, cfg)
        assert service.calls == ["CreateTrainingJob"]

    def test_code_and_script_are_sent_once(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, tmp_path: Path
    ) -> None:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "main.py").write_text("print('hello')")
        cfg = {**cfg, "source_dir": str(tmp_path / "code")}
        submit(scheduler, cfg, "python", "main.py")
        sent = ["HEAD code.tar.gz", "PUT code.tar.gz", "HEAD launch.sh", "PUT launch.sh"]
        assert service.calls == [*sent, "CreateTrainingJob"]
        service.calls.clear()
        submit(scheduler, cfg, "python", "main.py")
        assert service.calls == ["HEAD code.tar.gz", "HEAD launch.sh", "CreateTrainingJob"]
        service.calls.clear()
        (tmp_path / "code" / "main.py").write_text("print('changed')")
        submit(scheduler, cfg, "python", "main.py")
        assert service.calls == [*sent[:2], "HEAD launch.sh", "CreateTrainingJob"]

    def test_a_status_is_one_call(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        app_id = submit(scheduler, cfg)
        service.calls.clear()
        assert scheduler.describe(app_id) is not None
        assert service.calls == ["DescribeTrainingJob"]

    def test_a_thousand_jobs_are_listed_by_ten_calls(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        submit(scheduler, cfg)
        (job,) = service.jobs.values()
        service.jobs |= {f"other-{number}": job for number in range(999)}
        service.calls.clear()
        listed = scheduler.list()
        assert len(listed) == 1000
        assert listed[0].name == "app"
        assert listed[0].app_handle.startswith("aws_sagemaker://session/")
        assert service.calls == ["Search"] * 10
        service.jobs.clear()

    def test_many_jobs_are_described_by_calls_for_a_hundred_each(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        names = [submit(scheduler, cfg) for _ in range(6)]
        service.calls.clear()
        assert scheduler.describe_many([*names, "unknown"]).keys() == set(names)
        assert service.calls == ["ListTrainingJobs"]
        service.calls.clear()
        assert scheduler.describe_many(names[:2]).keys() == set(names[:2])
        assert service.calls == ["DescribeTrainingJob"] * 2

    def test_jobs_that_are_waited_for_together_do_not_seem_to_change_all_the_time(
        self, service: Service, scheduler: AWSSageMakerScheduler, runner: Runner, cfg: Options
    ) -> None:
        names = [submit(scheduler, cfg) for _ in range(6)]
        for name in names:
            runner.wait(f"aws_sagemaker://x/{name}", 0.1)
            scheduler.describe(name)
        watched = scheduler._look_after(names)
        for name in names:
            seen = scheduler._seen[name]
            assert seen is not None
            assert (watched[name].state, watched[name].num_restarts) == (
                seen.state,
                seen.num_restarts,
            )

    def test_a_log_is_read_page_by_page(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, runner: Runner
    ) -> None:
        app_id = submit(scheduler, cfg, "seq", "25000")
        assert runner.wait(f"aws_sagemaker://x/{app_id}", 0.1) is not None
        service.calls.clear()
        lines = list(scheduler.log_iter(app_id, "job"))
        assert lines == [f"{number}\n" for number in range(1, 25001)]
        # The runner that has waited goes on asking for a while.
        calls = [call for call in service.calls if call != "DescribeTrainingJob"]
        assert calls == ["DescribeLogStreams", *["GetLogEvents"] * 4]

    def test_following_a_quiet_log_asks_seldom(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, tmp_path: Path
    ) -> None:
        flag = tmp_path / "flag"
        program = f"echo begin; until [ -e {flag} ]; do sleep 0.05; done; echo end"
        app_id = submit(scheduler, cfg, "sh", "-c", program)
        lines = iter(scheduler.log_iter(app_id, "job", should_tail=True))
        assert next(lines) == "begin\n"
        service.calls.clear()
        flag.touch()
        assert list(lines) == ["end\n"]
        # Pages grow with time, which passes differently on each machine, but never 36 a second.
        assert service.calls.count("GetLogEvents") < 12
        assert set(service.calls) <= {"GetLogEvents", "DescribeLogStreams", "DescribeTrainingJob"}


class TestFailures:
    def test_a_submit_whose_answer_was_lost_is_not_an_error(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        info = scheduler.submit_dryrun(an_app(), cast(Opts, cfg))
        scheduler.schedule(info)
        assert scheduler.schedule(info) == info.request.job_name
        assert len(service.jobs) == 1

    @pytest.mark.parametrize(
        ("code", "kind", "hint"),
        [
            ("ExpiredTokenException", AwsLoginError, "aws sso login"),
            ("AccessDeniedException", AwsAccessError, "IAM policy"),
            ("ResourceLimitExceeded", AwsError, ""),
        ],
    )
    def test_a_refused_submit_says_what_to_do(
        self,
        service: Service,
        scheduler: AWSSageMakerScheduler,
        cfg: Options,
        code: str,
        kind: type[AwsError],
        hint: str,
    ) -> None:
        service.faults["CreateTrainingJob"] = refused(code, "for a reason")
        with pytest.raises(kind, match="cannot submit the training job app-") as raised:
            submit(scheduler, cfg)
        assert hint in raised.value.hint
        assert not service.jobs

    def test_throttling_is_waited_out(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        service.faults["CreateTrainingJob"] = refused("ThrottlingException", "Rate exceeded")
        submit(scheduler, cfg)
        assert service.calls == ["CreateTrainingJob"] * 2

    def test_without_credentials_the_way_to_log_in_is_told(
        self, service: Service, cfg: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        from torchx.schedulers import aws_sagemaker_scheduler
        from torchx.schedulers.aws.session import new_session

        monkeypatch.setattr(aws_sagemaker_scheduler, "_local_session", new_session)
        with pytest.raises(AwsLoginError) as raised:
            submit(create_scheduler("session"), cfg)
        assert "aws configure" in raised.value.hint

    def test_an_unknown_job_is_none_and_can_be_cancelled_and_deleted(
        self, scheduler: AWSSageMakerScheduler
    ) -> None:
        assert scheduler.describe("unknown") is None
        assert not scheduler.exists("unknown")
        scheduler.cancel("unknown")
        scheduler.delete("unknown")

    def test_a_job_that_has_ended_is_cancelled_without_an_error(
        self, service: Service, scheduler: AWSSageMakerScheduler, runner: Runner, cfg: Options
    ) -> None:
        app_id = submit(scheduler, cfg)
        runner.wait(f"aws_sagemaker://x/{app_id}", 0.1)
        scheduler.cancel(app_id)
        found = scheduler.describe(app_id)
        assert found is not None
        assert found.state == AppState.SUCCEEDED

    def test_a_job_that_runs_is_stopped_before_it_is_deleted(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        app_id = submit(scheduler, cfg, "sleep", "600")
        scheduler.delete(app_id)
        assert scheduler.describe(app_id) is None
        stop, delete = (service.calls.index(f"{verb}TrainingJob") for verb in ("Stop", "Delete"))
        assert stop < delete

    def test_a_job_that_is_being_deleted_is_left_alone(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, runner: Runner
    ) -> None:
        app_id = submit(scheduler, cfg)
        runner.wait(f"aws_sagemaker://x/{app_id}", 0.1)
        service.jobs[app_id].status = "Deleting"
        scheduler.delete(app_id)
        assert "DeleteTrainingJob" not in service.calls

    def test_another_refusal_to_stop_is_an_error(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, tmp_path: Path
    ) -> None:
        app_id = submit(scheduler, cfg, "sh", "-c", "sleep 60")
        service.faults["StopTrainingJob"] = refused("ValidationException", "cannot stop")
        with pytest.raises(AwsError, match="cannot stop"):
            scheduler.cancel(app_id)

    def test_code_that_does_not_exist_is_refused_before_the_submit(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
    ) -> None:
        with pytest.raises(WorkspaceError, match="no/such"):
            submit(scheduler, {**cfg, "source_dir": "/no/such"}, "python", "main.py")
        assert "CreateTrainingJob" not in service.calls


class TestWorkspaces:
    def test_a_workspace_arrives_with_its_modes_and_without_what_is_ignored(
        self, service: Service, runner: Runner, cfg: Options, tmp_path: Path
    ) -> None:
        code = tmp_path / "code"
        (code / "lib").mkdir(parents=True)
        script = code / "run.sh"
        script.write_text("#!/bin/sh\nfind . -type f | sort\ncat lib/x\n")
        script.chmod(0o755)
        (code / "lib" / "x").write_text("content\n")
        (code / "big.bin").write_text("data")
        (code / ".torchxignore").write_text("*.bin\n")
        handle = runner.run(an_app("./run.sh"), "aws_sagemaker", cfg, workspace=str(code))
        status = runner.wait(handle, 0.1)
        assert status is not None
        assert status.state == AppState.SUCCEEDED, status.msg
        lines = list(runner.log_lines(handle, "job"))
        assert lines == ["./.torchxignore\n", "./lib/x\n", "./run.sh\n", "content\n"]

    def test_a_dry_run_sends_nothing_and_tells_what_it_would_send(
        self, service: Service, scheduler: AWSSageMakerScheduler, cfg: Options, tmp_path: Path
    ) -> None:
        from torchx.specs import Workspace

        (tmp_path / "main.py").write_text("x" * 1000)
        role = Role("job", "image:1", entrypoint="true")
        role.workspace = Workspace({str(tmp_path): ""})
        previews = scheduler.preview_workspaces([role], cfg)
        assert previews is not None
        assert (previews[0].sent_bytes, role.image) == (1000, "image:1")
        info = scheduler.submit_dryrun(AppDef("app", [role]), cast(Opts, cfg))
        assert f"code: {tmp_path}\n" in str(info)
        assert service.calls == []

    def test_several_projects_go_to_their_places(
        self, service: Service, runner: Runner, cfg: Options, tmp_path: Path
    ) -> None:
        from torchx.specs import Workspace

        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / name).write_text(name)
        app = an_app("cat", "one", "sub/two")
        projects = {str(tmp_path / "one"): "", str(tmp_path / "two"): "sub"}
        app.roles[0].workspace = Workspace(projects)
        handle = runner.run(app, "aws_sagemaker", cfg)
        runner.wait(handle, 0.1)
        assert "".join(runner.log_lines(handle, "job")) == "onetwo\n"


@pytest.mark.parametrize("words", [["train.py"], ["-m", "train"]])
def test_a_program_is_launched_by_torchrun(
    service: Service,
    runner: Runner,
    cfg: Options,
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torchrun = shutil.which("torchrun", path=os.path.dirname(sys.executable))
    if torchrun is None:
        pytest.skip("torch is not installed")
    path = f"{os.path.dirname(torchrun)}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    (tmp_path / "code").mkdir()
    program = "import os, sys; print(os.environ['RANK'], os.environ['WORLD_SIZE'], sys.argv[1:])"
    (tmp_path / "code" / "train.py").write_text(program)
    app = an_app("python", *words, "--lr", "1e-3", "a b")
    workspace = str(tmp_path / "code")
    handle = runner.run(app, "aws_sagemaker", cfg, workspace=workspace)
    runner.wait(handle, 0.1)
    lines = list(runner.log_lines(handle, "job"))
    assert lines == ["0 1 ['--lr', '1e-3', 'a b']\n"]


def test_the_scheduler_has_the_abilities_that_fit_it(
    service: Service, scheduler: AWSSageMakerScheduler, cfg: Options
) -> None:
    for ability in (DescribesMany, LocatesLogs, PlansAppIds, PreviewsWorkspaces):
        assert isinstance(scheduler, ability)
    info = scheduler.submit_dryrun(an_app(), cast(Opts, cfg))
    planned = scheduler.planned_app_id(info)
    assert scheduler.schedule(info) == planned
    place = scheduler.log_location(planned, info)
    assert place is not None
    assert place.startswith("https://us-west-2.console.aws.amazon.com/cloudwatch/")
    assert planned in place
    assert os.environ["AWS_ENDPOINT_URL"] == service.url
