from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.util import config_layers
from torchx.util.config_file import ConfigFileError, parse

PROFILES = """\
[DEFAULT]
team = nlp
queue = default
[slurm]
queue = plain
time = 1
[cli:run]
scheduler = slurm
component = utils.echo
[component:dist.ddp]
j = 1x1
[profile:gpu]
scheduler = kubernetes
[profile:gpu:slurm]
partition = a100-%(team)s
[profile:gpu:component:dist.ddp]
j = 2x8
[profile:cpu]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(project)
    for name in ("TORCHX_PROFILE", "TORCHXCONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_layers, "_reported_profile", None)
    yield home
    config_layers.use_profile(None)


@pytest.fixture
def write(home: Path) -> Callable[..., None]:
    def write(project: str = "", home_text: str = "") -> None:
        Path(".torchxconfig").write_text(project)
        (home / ".torchxconfig").write_text(home_text)

    return write


def values(section: str) -> dict[str, str]:
    return {name: setting.value for name, setting in config_layers.settings(section).items()}


def test_without_a_profile_its_sections_do_not_count(write: Callable[..., None]) -> None:
    write(PROFILES)
    assert values("cli:run") == {"scheduler": "slurm", "component": "utils.echo"}
    assert values("component:dist.ddp") == {"j": "1x1"}
    config_layers.require_profile()


def test_a_profile_stands_before_the_other_sections(write: Callable[..., None]) -> None:
    write(PROFILES)
    config_layers.use_profile("gpu")
    assert values("cli:run") == {"scheduler": "kubernetes", "component": "utils.echo"}
    assert values("component:dist.ddp") == {"j": "2x8"}
    assert values("slurm") == {"partition": "a100-nlp", "queue": "plain", "time": "1"}
    assert config_layers.sections_of_kind("component") == ["dist.ddp"]


def test_a_profile_inherits_nothing_that_would_beat_the_file(write: Callable[..., None]) -> None:
    write(PROFILES)
    config_layers.use_profile("gpu")
    profile, file, _ = config_layers.layers()
    assert profile.options("slurm", with_defaults=True) == {"partition": "a100-nlp"}
    assert file.options("slurm", with_defaults=True)["team"] == "nlp"


def test_a_setting_tells_where_it_was_found(write: Callable[..., None], home: Path) -> None:
    write(PROFILES, "[slurm]\naccount = a\n[profile:gpu:slurm]\npartition = no\nnodes = 2\n")
    config_layers.use_profile("gpu")
    found = config_layers.settings("slurm")
    origins = {name: (Path(one.source).parent.name, one.heading) for name, one in found.items()}
    assert origins == {
        "partition": ("project", "profile:gpu:slurm"),
        "nodes": ("home", "profile:gpu:slurm"),
        "queue": ("project", "slurm"),
        "time": ("project", "slurm"),
        "account": ("home", "slurm"),
    }
    assert found["nodes"].where("nodes") == (
        f"{home}/.torchxconfig, section [profile:gpu:slurm], option `nodes`"
    )


def test_the_environment_chooses_a_profile_and_a_call_wins_over_it(
    write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(PROFILES)
    monkeypatch.setenv("TORCHX_PROFILE", " gpu ")
    assert values("cli:run")["scheduler"] == "kubernetes"
    config_layers.use_profile("")
    assert values("cli:run")["scheduler"] == "slurm"
    config_layers.use_profile(None)
    assert config_layers.profile_in_use() == "gpu"


def test_an_empty_profile_is_a_profile(write: Callable[..., None]) -> None:
    write(PROFILES)
    config_layers.use_profile("cpu")
    config_layers.require_profile()
    assert values("cli:run")["scheduler"] == "slurm"


@pytest.mark.parametrize(
    ("name", "hint"), [("gpuu", "did you mean `gpu`?"), ("zzz", "there are: gpu, cpu")]
)
def test_an_unknown_profile_is_warned_about_once_and_an_error_on_request(
    name: str, hint: str, write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write(PROFILES)
    config_layers.use_profile(name)
    assert values("cli:run")["scheduler"] == values("cli:run")["scheduler"] == "slurm"
    assert caplog.text.count(f"no configuration file defines the profile `{name}`") == 1
    with pytest.raises(ConfigFileError, match=name) as caught:
        config_layers.require_profile()
    assert caught.value.hint == hint


def test_the_first_profile_is_explained(write: Callable[..., None]) -> None:
    write()
    config_layers.use_profile("gpu")
    with pytest.raises(ConfigFileError) as caught:
        config_layers.require_profile()
    assert caught.value.hint == "define it by a section [profile:gpu]"


def test_replaced_directories_count_here_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchx.runner import config

    (tmp_path / ".torchxconfig").write_text("[s]\nk = v\n")
    monkeypatch.setattr(config, "DEFAULT_CONFIG_DIRS", [str(tmp_path)], raising=False)
    assert values("s") == {"k": "v"}


@pytest.mark.parametrize(
    ("heading", "meant"),
    [
        ("componet:dist.ddp", "component:dist.ddp"),
        ("clii:run", "cli:run"),
        ("torchx:trackers", "torchx:tracker"),
        ("resources:box", "resource:box"),
        ("component:x", None),
        ("acme:anything", None),
        ("slurm", None),
    ],
)
def test_kinds_of_sections_that_are_misspelt_are_found(heading: str, meant: str | None) -> None:
    problems = config_layers.misspelt_headings(parse(f"[{heading}]\n", "file"))
    expected = f"file: section [{heading}] is unknown, did you mean [{meant}]?"
    assert problems == ([expected] if meant else [])


def test_a_misspelt_section_of_a_profile_is_named_as_it_is_written() -> None:
    file = parse("[profile:gpu:componet:dist.ddp]\nj = 1\n", "file")
    profile = config_layers.profile_of(file, "gpu")
    assert profile is not None
    (problem,) = config_layers.misspelt_headings(profile)
    assert problem == (
        "file: section [profile:gpu:componet:dist.ddp] is unknown,"
        " did you mean [profile:gpu:component:dist.ddp]?"
    )
