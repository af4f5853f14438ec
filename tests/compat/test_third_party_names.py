"""Names that published packages import, underscore or not. They are public for us."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping

import pytest

import torchx
from torchx.cli.cmd_log import _prefix_line, find_role_replicas, validate
from torchx.components.dist import _args_join, _noquote, parse_nnodes
from torchx.specs import AppDef, AppState, Role
from torchx.util.types import none_throws

JOB_MODEL = (
    "AppDef AppDryRunInfo AppHandle AppState AppStatus CfgVal ReplicaState ReplicaStatus Resource"
    " Role RoleStatus is_terminal macros make_app_handle parse_app_handle runopts"
)

# NeMo-Run uses nearly all of them; Monarch, torchft, torchforge and torchrec the job model, the
# runner and `dist`; codeflare-sdk the components and the schedulers' API; Ax `components.utils`
# and `FsspecResultTracker`.
NAMES: Mapping[str, str] = {
    "torchx": "IMAGE",
    "torchx.cli.cmd_log": "_prefix_line find_role_replicas validate",
    "torchx.cli.colors": "ENDC GREEN",
    "torchx.components.dist": "_noquote parse_nnodes",
    "torchx.components.utils": "echo sh touch",
    "torchx.runner.api": "Runner Stream get_runner",
    "torchx.runner.events": "log_event",
    "torchx.runtime.tracking": "FsspecResultTracker",
    "torchx.schedulers": "get_scheduler_factories",
    "torchx.schedulers.api": (
        "AppDryRunInfo AppState DescribeAppResponse ListAppResponse Scheduler Stream filter_regex"
        " split_lines split_lines_iterator"
    ),
    "torchx.schedulers.ids": "make_unique",
    "torchx.schedulers.local_scheduler": (
        "AppId COMBINED_LOG STDERR_LOG STDOUT_LOG CWDImageProvider ImageProvider LocalOpts"
        " LocalScheduler LogIterator PopenRequest _LocalAppDef create_scheduler"
    ),
    "torchx.specs": f"{JOB_MODEL} parse_mounts resource",
    "torchx.specs.api": f"{JOB_MODEL} is_started",
    "torchx.specs.builders": "make_app_handle parse_args",
    "torchx.util.types": "decode decode_optional none_throws",
}


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in NAMES.items() for name in names.split()],
)
def test_the_name_can_be_imported(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_the_states_have_their_published_names() -> None:
    # NeMo-Run stores them by name, and maps those of clusters to them.
    published = "UNSUBMITTED SUBMITTED PENDING RUNNING SUCCEEDED FAILED CANCELLED UNKNOWN"
    assert [state.name for state in AppState] == published.split()


def test_the_log_command_can_be_taken_apart(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # NeMo-Run composes a `get_logs` of its own from these, and colours its prefixes with them.
    app = AppDef("job", [Role("a", "", num_replicas=2), Role("b", "")])
    assert find_role_replicas(app, None) == [("a", 0), ("a", 1), ("b", 0)]
    assert find_role_replicas(app, "b") == [("b", 0)]
    colors = importlib.import_module("torchx.cli.colors")
    assert isinstance(colors.GREEN + colors.ENDC, str)
    assert _prefix_line("a/0 ", "one\rtwo\n") == "a/0 one\ra/0 two\n"
    validate("slurm://session/app/role/0,1")
    with pytest.raises(SystemExit):
        validate("slurm://session/app/role/")
    assert "slurm://session/app/role/" in caplog.text


def test_the_parts_of_ddp_can_be_used_alone() -> None:
    # Monarch and torchft build commands of torchrun for themselves.
    assert _args_join(["--host", _noquote("$$X"), "a b"]) == "--host $$X 'a b'"
    assert parse_nnodes("1:2x8")[:2] == (1, 2)
    assert isinstance(torchx.IMAGE, str)


def test_none_throws_says_what_was_missing() -> None:
    # NeMo-Run calls it on what `describe` returns.
    assert none_throws(0) == 0
    with pytest.raises(AssertionError, match="Unexpected"):
        none_throws(None)


def test_one_logger_gets_all_records() -> None:
    # Ax and NeMo-Run configure the logger `torchx`.
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.name)  # type: ignore[method-assign]  # briefly
    logging.getLogger("torchx").addHandler(handler)
    try:
        validate_or_exit("no identifier")
    finally:
        logging.getLogger("torchx").removeHandler(handler)
    assert [name.partition(".")[0] for name in kept] == ["torchx"]


def validate_or_exit(identifier: str) -> None:
    with pytest.raises(SystemExit):
        validate(identifier)
