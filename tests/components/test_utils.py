"""The utils.* components."""

import inspect
import subprocess

import pytest

import torchx
from torchx import specs
from torchx.components import utils

SMALL = specs.Resource(cpu=1, gpu=0, memMB=1024)
BIND = ["type=bind", "src=/host", "dst=/job"]


def _role(app: specs.AppDef) -> specs.Role:
    (role,) = app.roles
    return role


def _run(app: specs.AppDef) -> "subprocess.CompletedProcess[str]":
    role = _role(app)
    return subprocess.run([role.entrypoint, *role.args], capture_output=True, text=True)


def test_echo() -> None:
    role = specs.Role(
        "echo", torchx.IMAGE, entrypoint="echo", args=["hi"], num_replicas=3, resource=SMALL
    )
    assert utils.echo("hi", num_replicas=3) == specs.AppDef("echo", [role])


def test_touch() -> None:
    role = specs.Role("touch", "img", entrypoint="touch", args=["f"], resource=SMALL)
    assert utils.touch("f", image="img") == specs.AppDef("touch", [role])


def test_sh_quotes_the_words_of_one_command() -> None:
    role = _role(utils.sh("echo", "a b", "&&", "ls"))
    assert (role.entrypoint, role.args) == ("sh", ["-c", "echo 'a b' '&&' ls"])
    assert _run(utils.sh("printf", "%s|", "$HOME", "`id`", "a\nb")).stdout == "$HOME|`id`|a\nb|"


def test_sh_reads_a_single_word_as_a_line_of_shell() -> None:
    assert _run(utils.sh("exit 3")).returncode == 3
    assert _run(utils.sh("x=1; echo $x | tr 1 2 && echo done")).stdout == "2\ndone\n"


def test_sh_passes_words_to_another_entrypoint_unquoted() -> None:
    role = _role(utils.sh("echo", "a b", entrypoint="bash"))
    assert (role.entrypoint, role.args) == ("bash", ["echo", "a b"])
    assert _run(utils.sh("a b", "it's", entrypoint="echo")).stdout == "a b it's\n"


def test_sh_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGLEVEL", "ERROR")
    env = {"A": "1"}
    role = _role(utils.sh("ls", env=env, num_replicas=2, max_retries=3, mounts=BIND, cpu=4))
    assert env == {"A": "1"}
    assert role.env == {"LOGLEVEL": "ERROR", "A": "1"}
    assert (role.num_replicas, role.max_retries, role.resource.cpu) == (2, 3, 4)
    assert role.mounts == [specs.BindMount("/host", "/job")]


@pytest.mark.parametrize(
    ("program", "args", "env"),
    [
        ({"m": "a.b"}, ["-m", "a.b", "x"], {"HYDRA_MAIN_MODULE": "a.b"}),
        ({"c": "print(1)"}, ["-c", "print(1)", "x"], {}),
        ({"script": "a.py"}, ["a.py", "x"], {}),
    ],
)
def test_python_programs(program: dict[str, str], args: list[str], env: dict[str, str]) -> None:
    app = utils.python("x", name="n", mounts=[*BIND, "readonly"], **program)  # type: ignore[arg-type]  # by name
    role = _role(app)
    assert (app.name, role.name, role.entrypoint) == ("n", "python", "python")
    assert (role.args, role.env) == (args, env)
    assert role.mounts == [specs.BindMount("/host", "/job", read_only=True)]


@pytest.mark.parametrize("program", [{}, {"m": "a", "c": "b"}, {"m": "", "script": ""}])
def test_python_needs_exactly_one_program(program: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one of -m, -c and --script"):
        utils.python(**program)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("kind", ["m", "c", "script"])
def test_python_refuses_an_empty_program(kind: str) -> None:
    with pytest.raises(ValueError, match="no program specified"):
        utils.python(**{kind: ""})  # type: ignore[arg-type]  # by name


def test_binary_names_no_image() -> None:
    role = _role(utils.binary("-a", entrypoint="/bin/true", h="cpu.small"))
    assert (role.image, role.entrypoint, role.args) == ("<NONE>", "/bin/true", ["-a"])
    assert role.resource == specs.named_resources["cpu.small"]


def test_copy() -> None:
    role = _role(utils.copy("s3://a", "b", mounts=BIND))
    assert (role.name, role.entrypoint) == ("torchx-utils-copy", "python")
    assert role.args == ["-m", "torchx.apps.utils.copy_main", "--src", "s3://a", "--dst", "b"]
    assert (role.resource, role.mounts) == (SMALL, [specs.BindMount("/host", "/job")])


def test_booth() -> None:
    app = utils.booth(x1=1.0, x2=2, trial_idx=3, tracker_base="/t")
    words = ["--x1", "1.0", "--x2", "2", "--trial_idx", "3", "--tracker_base", "/t"]
    assert _role(app).args == ["-m", "torchx.apps.utils.booth_main", *words]
    assert (app.name, _role(app).resource) == ("torchx-utils-booth", SMALL)


def test_booth_parameters_are_positional_as_parameter_searches_read_them() -> None:
    names = ["x1", "x2", "trial_idx", "tracker_base", "image"]
    assert inspect.getfullargspec(utils.booth).args == names


def test_every_default_image_is_that_of_this_release() -> None:
    for component in (utils.echo, utils.touch, utils.sh, utils.python, utils.copy, utils.booth):
        assert inspect.signature(component).parameters["image"].default == torchx.IMAGE
