"""What is sent along with an app arrives as it was: text, names, places, files."""

# ruff: noqa: D102 (the names of the cases say what they are about)

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from torchx.specs import AppState, BindMount, macros
from torchx.testing.capabilities import Capability
from torchx.testing.cases.programs import PRINT_WHO, SUCCEED
from torchx.testing.harness import SchedulerHarness
from torchx.testing.job import Job

REPORT = """
import json, os, sys
print(json.dumps({
    "argv": [os.fsencode(arg).hex() for arg in sys.argv[1:]],
    "env": {name: os.fsencode(value).hex() for name, value in os.environ.items()},
}))
"""

PRINT_FILE = "import sys; print(open(sys.argv[1]).read(), end='')"

# Replica 0 of the first role listens; everyone else finds it by its host name and says who it is.
MEET = """
import os, socket, sys, time
me, host, port, others = sys.argv[1], os.environ[sys.argv[2]], int(sys.argv[3]), int(sys.argv[4])
if me == "leader/0":
    with socket.create_server(("", port)) as server:
        server.settimeout(50)
        for name in sorted(server.accept()[0].makefile().read() for _ in range(others)):
            print(name)
else:
    deadline = time.monotonic() + 50
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(me.encode())
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
"""

HOSTILE_TEXTS = [
    "",
    " ",
    "  spaces at both ends  ",
    "'single' \"double\"",
    "a'; echo foo",
    'a"; echo foo; "',
    "two\nlines\nand a last newline\n",
    "carriage\rreturn\r\nand\ttab",
    "comma,separated, values,",
    "K=v,L=w;M=x",
    "$HOME ${HOME} $(echo foo) $1 $@ $? $(HOME)",
    "`echo foo`",
    "semi;colon && and || or | pipe > out < in & background",
    "back\\slash \\n \\\\ \\",
    "*.py ? [a-z] ~ {a,b} !history #comment",
    "%s %d %% %(name)s {0} {{}}",
    "--leading-dashes",
    "--",
    "straße 日本語 \N{GRINNING FACE} e\N{COMBINING ACUTE ACCENT}",
    "<a href='x'>&amp;</a>",
    "EOF\nEOT\nEND",
    "\x01\x1b[31m\x7f",
]

HOSTILE_NAMES = ["a'; echo foo", 'with "quotes"', "$HOME `id`", "two words", "straße-日本", "-dash"]

NAMES_THAT_ARE_PATHS = ["../../up", "a/b", "/etc", "..", "two\nlines"]


def long_text(length_bytes: int) -> str:
    """Makes a text of words that no shell should touch.

    Args:
        length_bytes: Its length.

    Returns:
        The text, ASCII only.
    """
    return ("0123 $x 'y' \"z\" `w`; " * (length_bytes // 21 + 1))[:length_bytes]


def report_of(job: Job) -> Any:
    """Reads what a job that runs ``REPORT`` got.

    Args:
        job: The job, which has ended.

    Returns:
        Its arguments and environment as hexadecimal text.
    """
    return json.loads("".join(job.log()))


class DeliveryCases:
    """Nothing on the way interprets, cuts or loses what belongs to the user."""

    def test_arguments_arrive_byte_for_byte(self, harness: SchedulerHarness) -> None:
        texts = [*HOSTILE_TEXTS, long_text(harness.longest_argument_bytes)]
        job = harness.launch(harness.role(REPORT, *texts))
        assert job.wait().state == AppState.SUCCEEDED
        assert [bytes.fromhex(arg).decode() for arg in report_of(job)["argv"]] == texts

    def test_environment_arrives_byte_for_byte(self, harness: SchedulerHarness) -> None:
        texts = [*HOSTILE_TEXTS, long_text(harness.longest_argument_bytes)]
        env = {f"CONTRACT_{number}": text for number, text in enumerate(texts)}
        job = harness.launch(harness.role(REPORT, env=env))
        assert job.wait().state == AppState.SUCCEEDED
        got = report_of(job)["env"]
        assert {name: bytes.fromhex(got[name]).decode() for name in env} == env

    def test_macros_are_replaced_and_nothing_else(self, harness: SchedulerHarness) -> None:
        args = [f"id={macros.app_id}", f"k={macros.replica_id}", macros.rank0_env, macros.img_root]
        foreign = ["$(app_id)", "${unknown}", "$ {app_id}", "{app_id}", "$$(replica_id)"]
        role = harness.role(REPORT, *args, *foreign, env={"CONTRACT_ID": macros.app_id})
        job = harness.launch(role)
        job.wait()
        report = report_of(job)
        app_id, k, rank0_env, img_root, *rest = [
            bytes.fromhex(arg).decode() for arg in report["argv"]
        ]
        assert job.handle.endswith(app_id.removeprefix("id="))
        assert app_id != "id="
        assert k == "k=0"
        assert bytes.fromhex(report["env"]["CONTRACT_ID"]).decode() == app_id.removeprefix("id=")
        assert rank0_env in report["env"]
        assert "$" not in img_root
        assert rest == foreign

    def test_a_job_knows_its_own_handle(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(REPORT))
        job.wait()
        assert bytes.fromhex(report_of(job)["env"]["TORCHX_JOB_ID"]).decode() == job.handle

    def test_all_replicas_reach_the_first_one_by_its_host_name(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.RANK0_HOST)
        args = (macros.rank0_env, str(harness.free_port()), "4")
        job = harness.launch(
            harness.role(MEET, f"leader/{macros.replica_id}", *args, name="leader", num_replicas=3),
            harness.role(MEET, f"helper/{macros.replica_id}", *args, name="helper", num_replicas=2),
        )
        assert job.wait().state == AppState.SUCCEEDED
        assert job.log("leader") == ["helper/0\n", "helper/1\n", "leader/1\n", "leader/2\n"]

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names_are_harmless(self, harness: SchedulerHarness, name: str) -> None:
        role = harness.role(PRINT_WHO, "x", name=name, num_replicas=2, env={"WHO": name})
        job = harness.launch(role, name=name)
        assert job.wait().state == AppState.SUCCEEDED
        assert job.log(name, 1) == [f"x says {name}\n"]
        if harness.can(Capability.LIST):
            assert harness.listed()[job.handle] == "SUCCEEDED"

    @pytest.mark.parametrize("name", NAMES_THAT_ARE_PATHS)
    @pytest.mark.parametrize("of", ["app", "role"])
    def test_names_that_are_paths_lead_nowhere(
        self, harness: SchedulerHarness, name: str, of: str
    ) -> None:
        app_name, role_name = (name, "job") if of == "app" else ("contract", name)
        refusal = None
        try:
            job = harness.launch(harness.role(SUCCEED, name=role_name), name=app_name)
        except ValueError as error:
            refusal = str(error)
        if refusal is None:
            assert job.wait().state == AppState.SUCCEEDED
            assert job.log(role_name) == ["hello\n"]
        else:
            assert repr(name) in refusal

    def test_a_hostile_working_directory_is_harmless(
        self, harness: SchedulerHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        directory = tmp_path / "a'; echo foo"
        directory.mkdir(exist_ok=True)
        monkeypatch.chdir(directory)
        job = harness.launch(harness.role(REPORT, *HOSTILE_TEXTS))
        assert job.wait().state == AppState.SUCCEEDED
        assert [bytes.fromhex(arg).decode() for arg in report_of(job)["argv"]] == HOSTILE_TEXTS

    def test_a_mounted_directory_is_there(self, harness: SchedulerHarness, tmp_path: Path) -> None:
        harness.need(Capability.MOUNTS)
        (tmp_path / "data.txt").write_text("mounted\n")
        mount = BindMount(src_path=str(tmp_path), dst_path="/contract-data", read_only=True)
        job = harness.launch(harness.role(PRINT_FILE, "/contract-data/data.txt", mounts=[mount]))
        assert job.wait().state == AppState.SUCCEEDED
        assert job.log() == ["mounted\n"]

    def test_a_workspace_is_sent_along(self, harness: SchedulerHarness, tmp_path: Path) -> None:
        harness.need(Capability.WORKSPACE)
        workspace = tmp_path / "a'; echo foo"
        (workspace / "sub").mkdir(parents=True)
        (workspace / "sub" / "data.txt").write_text("from the workspace\n")
        role = harness.role(PRINT_FILE, os.path.join("sub", "data.txt"))
        role.image = harness.workspace_image or role.image
        job = harness.launch(role, cfg=harness.workspace_cfg, workspace=str(workspace))
        assert job.wait().state == AppState.SUCCEEDED
        assert job.log() == ["from the workspace\n"]
