"""Submit scripts and texts of jobs, run by real shells with stand-ins for bsub and docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from torchx.schedulers.lsf.request import docker_words, job_stems, make_app_id
from torchx.schedulers.lsf.script import Placement, submit_script
from torchx.schedulers.lsf.shell_code import END_OF_JOB
from torchx.schedulers.lsf_scheduler import Opts
from torchx.specs import AppDef, CfgVal, Resource, Role
from torchx.specs.macros import escape_macros
from torchx.util.redact import is_secret_name, redact_text

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
) | st.sampled_from(
    ["$HOME", "`id`", "a\r\nb", "it's", "\\\\ \\", "x\n#BSUB -q evil\n", "x\n \t#BSUB", END_OF_JOB]
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)

# Keeps its standard input, and runs it as the last of its jobs would be run.
BSUB = r"""#!/bin/bash
cat >"$SIM/job"
grep -qE '^\s*#BSUB' "$SIM/job" && exit 99
printf '%s\0' "$@" >"$SIM/options"
LSB_HOSTS=h1 sh "$SIM/job" && echo 'Job <1> is submitted to queue <q>.'
"""
DOCKER = r"""#!/bin/bash
[ "$1" = run ] || exit 1
printf '%s\0' "$@" >"$SIM/docker"
env -0 >"$SIM/env"
"""


def submitted(place: Path, role: Role, **cfg: CfgVal) -> tuple[list[str], list[str]]:
    """Runs a submit script; returns the options of bsub and the words of docker."""
    commands = place / "bin"
    commands.mkdir()
    for name, text in (("bsub", BSUB), ("docker", DOCKER)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    state = place / "state '$x`"
    for name in ("errors", "hosts", "notes", "rounds"):
        (state / name).mkdir(parents=True)
    app = AppDef("app", [role])
    script = submit_script("app-1", ["bash"], app, cfg, Placement("h1", str(state)))
    for name, text in script.secrets.items():
        (state / name).write_text(text, encoding="utf-8", newline="")
    (place / "script.sh").write_text(script.text, encoding="utf-8", newline="")
    done = subprocess.run(
        ["/bin/bash", str(place / "script.sh")],
        env={"PATH": f"{commands}:/usr/bin:/bin", "SIM": str(place), "LANG": "C.UTF-8"},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "torchx: submitted 1\n"), done
    return words_of(place / "options"), words_of(place / "docker")


def words_of(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\0")[:-1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(texts, max_size=4),
    st.dictionaries(names, texts, max_size=4),
    texts.filter(bool),
    texts,
)
@example([f"\n{END_OF_JOB}\n"], {"A": "`touch $HOME/x`"}, "$(id)", "a\n#BSUB")
def test_text_reaches_docker_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory,
    args: list[str],
    env: dict[str, str],
    image: str,
    queue: str,
) -> None:
    place = tmp_path_factory.mktemp("script")
    role = Role(
        "job",
        image,
        entrypoint="main",
        args=[escape_macros(arg) for arg in args],
        env={name: escape_macros(value) for name, value in env.items()},
    )
    options, words = submitted(place, role, lsf_queue=queue)
    applied = Role("job", image, entrypoint="main", args=args)
    secret = {
        name: None
        for name, value in env.items()
        if is_secret_name(name) or redact_text(value) != value
    }
    shown: dict[str, str | None] = {**env, **secret, "TORCHX_RANK0_HOST": "h1"}
    plain = docker_words("app-1-job-0", applied, {}, env=shown, gpus="all")
    given_by_job = words[2:6]
    assert given_by_job[0::2] == ["-v", "-e"]
    assert [*words[:2], *words[6:]] == [*plain[1:], *args]
    assert options[options.index("-q") + 1] == queue
    received = dict(word.split("=", 1) for word in words_of(place / "env"))
    assert {name: received[name] for name in secret} == {name: env[name] for name in secret}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (Resource(cpu=-1, gpu=-1, memMB=-1), ["-R", "span[hosts=1]"]),
        (
            Resource(cpu=4, gpu=2, memMB=2048),
            [
                *("-n", "4", "-R", "span[hosts=1] rusage[mem=2048]"),
                *("-gpu", "num=2:mode=shared:j_exclusive=yes"),
            ],
        ),
    ],
)
def test_resources_are_asked_for_by_one_balanced_string(
    tmp_path: Path, resource: Resource, expected: list[str]
) -> None:
    role = Role("job", "image", entrypoint="main", resource=resource)
    options, _ = submitted(tmp_path, role, bsub_args="-W 4:00 -app 'a b'", jobdir=str(tmp_path))
    stem = f"{tmp_path}/app-1-job-0.submit"
    assert options == [
        *("-P", "app-1", "-J", "app-1-job-0", "-m", "h1", "-cwd", str(tmp_path)),
        *("-outdir", str(tmp_path), "-oo", f"{stem}.out", "-eo", f"{stem}.err"),
        *expected,
        *("-W", "4:00", "-app", "a b"),
    ]


def test_a_container_gets_the_gpus_that_lsf_has_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = submit_script(
        "app-1",
        ["bash"],
        AppDef("a", [Role("r", "i", resource=Resource(cpu=1, gpu=2, memMB=1))]),
        Opts(),
        Placement("h1"),
    ).text
    (set_gpus,) = (line for line in script.split("\n") if line.startswith('[ -z "${CUDA_'))
    for visible, expected in [("", "all"), ("3,5", '"device=3,5"')]:
        done = subprocess.run(
            ["sh", "-c", f'torchx_gpus=all; {set_gpus}; printf %s "$torchx_gpus"'],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == expected
    assert '--gpus "$torchx_gpus"' in script


@pytest.mark.parametrize(
    ("name", "app_id"),
    [
        ("app-name-42", "app-name-42"),
        ("My.App-x1", "myapp-x1"),
        ("日本-x1", "app-x1"),
        ("--dash-x1", "dash-x1"),
        ("a" * 80 + "-x1", "a" * 56 + "-x1"),
    ],
)
def test_ids_are_names_that_no_command_takes_for_an_option(name: str, app_id: str) -> None:
    assert make_app_id(name) == app_id


@given(st.lists(st.text(max_size=8), unique=True, max_size=6))
def test_jobs_of_different_roles_have_different_names(role_names: list[str]) -> None:
    stems = job_stems(AppDef("a", [Role(name, "i") for name in role_names]))
    assert len(set(stems)) == len(role_names)
    assert all(stem.strip("-_") for stem in stems)


def test_a_dry_run_names_roles_without_replicas() -> None:
    app: Any = AppDef("empty", [])
    with pytest.raises(ValueError, match="`empty` has no replica"):
        submit_script("id", ["bash"], app, {}, Placement("h"))
