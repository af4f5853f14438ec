from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

from torchx.schedulers.test.test_util import is_asan, is_asan_or_tsan, is_tsan
from torchx.test.fixtures import DistributedTestCase, TestWithTmpDir
from torchx.test.suites import unittests


class Case(TestWithTmpDir):
    def test_nothing(self) -> None:
        self.touch("made")


@pytest.fixture
def case() -> Case:
    made = Case("test_nothing")
    made.setUp()
    made.addCleanup(made.tearDown)
    return made


def test_each_test_has_a_directory_that_goes_away() -> None:
    case = Case("test_nothing")
    result = unittest.TestResult()
    case.run(result)
    assert result.wasSuccessful()
    assert case.tmpdir.name.startswith("torchx-Case-")
    assert not case.tmpdir.exists()


def test_files_are_written_and_read(case: Case, tmp_path: Path) -> None:
    assert case.write("a/b.txt", ["x\n", "y"]) == case.tmpdir / "a" / "b.txt"
    assert case.read("a/b.txt") == ["x\n", "y"]
    assert case.write(tmp_path / "outside", ["x"]) == tmp_path / "outside"
    assert case.touch("empty").read_text() == ""
    case.assertDirIsEmpty(case.mkdir("new/deep"))
    with pytest.raises(AssertionError):
        case.assertDirIsEmpty("a")
    case.doCleanups()


def test_a_script_can_be_run(case: Case) -> None:
    script = case.write_shell_script("bin/hello.sh", ['echo "hello $1"', "exit 3"])
    done = subprocess.run([script, "you"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("hello you\n", 3)
    case.doCleanups()


def test_trees_are_made_and_compared_exactly(case: Case) -> None:
    tree = {"a": "text\n", "empty": {}, "dir": {"b": "", "c": {"d": "1"}}}
    case.assertDirTree(case.create_dir_tree("root", tree), tree)
    case.assertDirTree("root", {**tree, "a": " text"})
    for wrong in ({}, {**tree, "more": ""}, {**tree, "a": "other"}, {**tree, "dir": {"b": ""}}):
        with pytest.raises(AssertionError):
            case.assertDirTree("root", wrong)
    case.doCleanups()


def test_the_suite_collects_the_tests_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    case = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"
    Path("collected_test.py").write_text(case)
    Path("other.py").write_text(case)
    assert unittests().countTestCases() == 1


def test_importing_the_fixtures_does_not_import_torch() -> None:
    code = "import torchx.test.fixtures, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sanitizers_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASAN_OPTIONS", raising=False)
    monkeypatch.setenv("TSAN_OPTIONS", "x")
    assert (is_asan(), is_tsan(), is_asan_or_tsan()) == (False, True, True)


def rank_and_text(text: str) -> str:
    return f"{os.environ['RANK']}{text}"


def test_a_function_runs_in_several_processes() -> None:
    run = DistributedTestCase("run_ddp").run_ddp(2, rank_and_text)
    assert run("!") == {0: "0!", 1: "1!"}
