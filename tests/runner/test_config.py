from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchx.runner import config
from torchx.runner.config import ConfigFileError

if TYPE_CHECKING:
    from tests.runner.conftest import MemoryScheduler

    Write = Callable[[str, str], str]


@pytest.fixture(autouse=True)
def created(memory: MemoryScheduler, monkeypatch: pytest.MonkeyPatch) -> list[MemoryScheduler]:
    """The schedulers that were created; ``memory`` is the only one there is."""
    created: list[MemoryScheduler] = []

    def create(session_name: str) -> MemoryScheduler:
        created.append(type(memory)(session_name))
        return created[-1]

    monkeypatch.setattr("torchx.runner.config.get_scheduler_factories", lambda: {"memory": create})
    return created


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes ``.torchxconfig`` into a folder and returns the folder."""

    def write(folder: str, text: str) -> str:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / ".torchxconfig").write_text(text)
        return str(path)

    return write


def applied(dirs: list[str] | None = None, **given: Any) -> dict[str, Any]:
    cfg = dict(given)
    config.apply("memory", cfg, dirs)
    return cfg


def loaded(text: str, **given: Any) -> dict[str, Any]:
    cfg = dict(given)
    config.load("memory", io.StringIO(text), cfg)
    return cfg


def test_the_first_directory_wins_and_given_options_stay(write: Write) -> None:
    dirs = [
        write("first", "[memory]\nnodes = 100\nqueue = f\n"),
        write("second", "[memory]\nnodes = 50\ntags = a;b\n"),
    ]
    assert applied(dirs, queue="given") == {"queue": "given", "nodes": 100, "tags": ["a", "b"]}


def test_the_project_wins_over_the_home(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", write("home", "[memory]\nqueue = home\nnodes = 2\n"))
    monkeypatch.chdir(write("project", "[memory]\nqueue = project\n"))
    assert applied() == {"queue": "project", "nodes": 2}


def test_the_directories_follow_a_change_of_directory(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", write("home", ""))
    for folder in ("a", "b"):
        monkeypatch.chdir(write(folder, ""))
        assert [Path(path).parent.name for path in config.find_configs()] == [folder, "home"]


def test_the_directories_can_be_replaced(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_CONFIG_DIRS", [write("a", "")], raising=False)
    assert [Path(path).parent.name for path in config.find_configs()] == ["a"]
    assert [Path(path).parent.name for path in config.find_configs([])] == ["a"]
    monkeypatch.undo()
    assert config.DEFAULT_CONFIG_DIRS[-1] == str(Path.home())


def test_a_home_that_is_the_working_directory_counts_once(tmp_path: Path) -> None:
    searched = config.DEFAULT_CONFIG_DIRS
    assert searched == [str(tmp_path)]


def test_a_deleted_working_directory_and_no_home_are_no_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_user(uid: int) -> None:
        raise KeyError(uid)

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", no_such_user)
    assert config.find_configs() == []


def test_a_directory_by_the_name_of_the_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".torchxconfig").mkdir()
    assert config.find_configs([str(tmp_path)]) == []


def test_the_environment_names_the_only_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("ignored", "[memory]\nqueue = no\n")
    path = str(Path(write("only", "[memory]\nqueue = yes\n")) / ".torchxconfig")
    monkeypatch.setenv("TORCHXCONFIG", path)
    assert config.find_configs([folder]) == [path]
    assert applied([folder]) == {"queue": "yes"}


def test_an_empty_name_in_the_environment_switches_files_off(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHXCONFIG", "")
    assert config.find_configs([write("a", "")]) == []


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_name_in_the_environment_that_is_no_file_is_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHXCONFIG", name)
    with pytest.raises(FileNotFoundError, match=f"TORCHXCONFIG={name} "):
        config.find_configs()


def test_sections_of_a_kind_are_merged(write: Write) -> None:
    dirs = [
        write(
            "a", "[DEFAULT]\nx = 1\n[component:dist.ddp]\nimage = a\n[component:f.py:fn]\nb = 2\n"
        ),
        write(
            "b", "[component:dist.ddp]\nimage = b\nj = 1x2\n[component:]\nk = 1\n[:bad]\nk = 1\n"
        ),
    ]
    assert config.load_sections("component", dirs) == {
        "dist.ddp": {"image": "a", "j": "1x2"},
        "f.py:fn": {"b": "2"},
    }
    assert config.load_sections("", dirs) == {}
    assert config.get_configs("component", "dist.ddp", dirs)["j"] == "1x2"
    assert config.get_configs("component", "none", dirs) == {}
    assert config.get_config("component", "dist.ddp", "image", dirs) == "a"
    assert config.get_config("component", "dist.ddp", "none", dirs) is None


@pytest.mark.parametrize(
    ("line", "cfg"),
    [
        ("nodes = 5", {"nodes": 5}),
        ("queue = 50% of #1", {"queue": "50% of #1"}),
        ("tags = a,b;c;", {"tags": ["a", "b", "c"]}),
        ("queue = None", {"queue": None}),
        ("queue =", {"queue": ""}),
    ],
)
def test_values_are_cast_as_on_the_command_line(line: str, cfg: dict[str, Any]) -> None:
    assert loaded(f"[other]\nqueue = no\n[memory]\n{line}\n") == cfg


def test_a_spelling_of_a_given_option_does_not_replace_it() -> None:
    assert loaded("[memory]\napi_token = file\n", apiToken="given") == {"apiToken": "given"}
    assert loaded("[memory]\napiToken = file\n") == {"api_token": "file"}


def test_a_value_that_does_not_fit_names_file_section_option_and_type(write: Write) -> None:
    folder = write("a", "[memory]\nnodes = many\n")
    with pytest.raises(
        ConfigFileError, match=r"a/\.torchxconfig, section \[memory\], option `nodes`.*no int"
    ):
        applied([folder])


def test_the_value_of_a_secret_that_does_not_fit_is_not_told(
    monkeypatch: pytest.MonkeyPatch, memory: MemoryScheduler
) -> None:
    opts = memory.run_opts()
    opts.add("pin_token", type_=int, help="a secret number")
    monkeypatch.setattr(type(memory), "run_opts", lambda self: opts)
    with pytest.raises(ConfigFileError, match="pin_token") as caught:
        loaded("[memory]\npin_token = hidden\n")
    assert "hidden" not in str(caught.value)


def test_an_unknown_option_is_warned_about_with_the_closest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert loaded("[memory]\nquueue = a\nzzz = None\nnodes = 1\n") == {"nodes": 1}
    assert "unknown run option `quueue`, did you mean `queue`?" in caplog.text
    assert "unknown run option `zzz` (ignored)" in caplog.text


def test_the_command_line_can_make_unknown_options_an_error(write: Write) -> None:
    dirs = [write("a", "[memory]\nqueue = x\n"), write("b", "[memory]\nquueue = x\nzzz = 1\n")]
    config.require_known_options("memory", dirs[:1])
    found = config.unknown_options("memory", dirs)
    assert [(option.name, option.closest) for option in found] == [
        ("quueue", "queue"),
        ("zzz", None),
    ]
    with pytest.raises(ConfigFileError, match=r"`quueue`, did you mean `queue`\?; .*`zzz`"):
        config.require_known_options("memory", dirs)


def test_a_default_option_that_the_scheduler_lacks_is_no_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert loaded("[DEFAULT]\nqueue = d\nregion = r\n[memory]\nnodes = 3\n") == {
        "queue": "d",
        "nodes": 3,
    }
    assert caplog.text == ""


def test_a_placeholder_is_not_loaded_as_a_value(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    placeholder = "[memory]\nqueue = #FIXME:(str) where to run\nnodes = #FIXME:(int) how many\n"
    assert loaded(placeholder) == {"queue": None, "nodes": None}
    assert "section [memory], option `queue` still holds its #FIXME placeholder" in caplog.text
    assert loaded(placeholder, queue="given", nodes=2) == {"queue": "given", "nodes": 2}
    dirs = [write("a", placeholder), write("b", "[memory]\nqueue = real\n")]
    assert applied(dirs) == {"queue": "real", "nodes": None}


def test_a_misspelt_section_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    assert loaded("[memry]\nqueue = a\n") == {}
    assert "section [memry] belongs to no scheduler, did you mean [memory]?" in caplog.text


def test_an_unknown_scheduler_is_an_error_that_names_the_known_ones() -> None:
    for read in (
        lambda: config.load("nope", io.StringIO(""), {}),
        lambda: config.apply("nope", {}),
        lambda: config.unknown_options("nope"),
    ):
        with pytest.raises(ValueError, match=r"`nope`.*\['memory'\]"):
            read()


def test_no_scheduler_is_created_when_no_file_speaks_of_it(
    write: Write, created: list[MemoryScheduler]
) -> None:
    dirs = [write("a", "[other]\nk = v\n")]
    assert applied(dirs) == {}
    config.require_known_options("memory", dirs)
    assert created == []


def test_one_scheduler_is_created_for_all_files_and_closed(
    write: Write, created: list[MemoryScheduler]
) -> None:
    applied([write("a", "[memory]\nqueue = a\n"), write("b", "[memory]\nnodes = 1\n")])
    assert [(one.session_name, one.calls.close) for one in created] == [("_", 1)]


def test_an_orchestrator_is_a_scheduler_too(
    monkeypatch: pytest.MonkeyPatch, memory: MemoryScheduler
) -> None:
    monkeypatch.setattr(
        "torchx.util.entrypoints.load_group",
        lambda group: {"flow": lambda session_name: memory} if "orchestrator" in group else {},
    )
    cfg: dict[str, Any] = {}
    config.load("flow", io.StringIO("[flow]\nqueue = q\n"), cfg)
    assert cfg == {"queue": "q"}
    assert memory.calls.close == 1


def test_the_old_import_path_of_the_variable_stays() -> None:
    assert config.ENV_TORCHXCONFIG == "TORCHXCONFIG"


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        config.nothing  # noqa: B018 - reading it is the test


def test_the_environment_wins_over_files_and_not_over_what_is_given(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirs = [write("a", "[memory]\nqueue = file\nnodes = 2\n")]
    monkeypatch.setenv("TORCHX_CFG_MEMORY_QUEUE", "env")
    monkeypatch.setenv("TORCHX_CFG_MEMORY_TAGS", "a,b")
    assert applied(dirs) == {"queue": "env", "nodes": 2, "tags": ["a", "b"]}
    assert applied(dirs, queue="given")["queue"] == "given"
    assert applied() == {"queue": "env", "tags": ["a", "b"]}
    assert loaded("[memory]\nnodes = 3\n") == {"nodes": 3}


def test_a_misspelt_variable_is_a_warning_and_an_error_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHX_CFG_MEMORY_QUUEUE", "env")
    assert applied() == {}
    assert "did you mean `TORCHX_CFG_MEMORY_QUEUE`? (ignored)" in caplog.text
    with pytest.raises(ConfigFileError, match="TORCHX_CFG_MEMORY_QUUEUE"):
        config.require_known_options("memory")


def test_the_command_line_can_make_misspelt_sections_an_error(write: Write) -> None:
    dirs = [write("a", "[memry]\nqueue = x\n"), write("b", "[trackers:mine]\nconfig = x\n")]
    with pytest.raises(
        ConfigFileError, match=r"did you mean \[memory\]\?; .* did you mean \[tracker:mine\]\?"
    ):
        config.require_known_options("memory", dirs)


def test_a_profile_wins_over_files_and_not_over_the_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PROFILE", "big")
    text = "[profile:big:memory]\nqueue = big\nnodes = 8\n[memory]\nqueue = file\ntags = t\n"
    dirs = [write("a", text)]
    assert applied(dirs) == {"queue": "big", "nodes": 8, "tags": ["t"]}
    monkeypatch.setenv("TORCHX_CFG_MEMORY_QUEUE", "env")
    assert applied(dirs)["queue"] == "env"


def test_the_origin_of_each_value_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(
        "a",
        "[DEFAULT]\ntags = t\n[profile:big:memory]\nnodes = 8\n[memory]\nnodes = 2\nqueue = q\n",
    )
    monkeypatch.setenv("TORCHX_PROFILE", "big")
    monkeypatch.setenv("TORCHX_CFG_MEMORY_API_TOKEN", "hidden")
    told = [
        (one.name, one.value, one.origin) for one in config.effective_options("memory", [folder])
    ]
    assert told == [
        ("queue", "q", f"{folder}/.torchxconfig [memory]"),
        ("nodes", 8, f"{folder}/.torchxconfig [profile:big:memory]"),
        ("tags", ["t"], f"{folder}/.torchxconfig [DEFAULT]"),
        ("api_token", "hidden", "environment TORCHX_CFG_MEMORY_API_TOKEN"),
    ]


def dumped(*schedulers: str, **kwargs: bool) -> str:
    file = io.StringIO()
    config.dump(file, list(schedulers) or None, **kwargs)
    return file.getvalue()


def test_what_is_dumped_can_be_loaded_again(memory: MemoryScheduler) -> None:
    text = dumped()
    assert text == "[memory]\nqueue = default\nnodes = 1\ntags = None\napi_token = None\n\n"
    assert loaded(text) == {name: option.default for name, option in memory.run_opts()}
    assert dumped("memory", required_only=True) == "[memory]\n\n"


def test_nothing_is_dumped_for_an_unknown_scheduler() -> None:
    file = io.StringIO()
    with pytest.raises(ValueError, match=r"`memroy` is no registered scheduler") as caught:
        config.dump(file, ["memory", "memroy"])
    assert getattr(caught.value, "hint", "") == "did you mean `memory`?"
    assert file.getvalue() == ""


def test_a_scheduler_that_lacks_what_it_needs_is_left_out_with_a_warning(
    memory: MemoryScheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(session_name: str) -> MemoryScheduler:
        raise ModuleNotFoundError("No module named 'sdk'", name="sdk")

    factories = {"broken": broken, "memory": lambda session_name: memory}
    monkeypatch.setattr("torchx.runner.config.get_scheduler_factories", lambda: factories)
    assert dumped().startswith("[memory]\n")
    assert "scheduler `broken` is left out: No module named 'sdk'" in caplog.text


def test_trackers_come_from_files_whatever_is_in_them(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchx.runner.api import get_configured_trackers

    monkeypatch.chdir(
        write(
            "a",
            "[DEFAULT]\nno = tracker\n[torchx:tracker]\nplain =\nfull = x\n# off = y\nempty:\n"
            "[tracker:full]\n; comment\nconfig = sqlite:///%h/100%.db # kept\n"
            "[tracker:empty]\nconfig =\n[profile:p:tracker:plain]\nconfig = of profile\n",
        )
    )
    full = "sqlite:///%h/100%.db # kept"
    assert get_configured_trackers() == {"plain": None, "full": full, "empty": ""}
    monkeypatch.setenv("TORCHX_PROFILE", "p")
    assert get_configured_trackers()["plain"] == "of profile"
