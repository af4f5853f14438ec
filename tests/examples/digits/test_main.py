"""The training example with one worker, in this process."""

from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")


from torchx.examples.digits.train import main

QUICK = ["--epochs", "1"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_defaults_reach_the_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.removeprefix("test accuracy: ").removesuffix(" %")) > 95


def test_low_accuracy_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"the test accuracy of .* % is below 99.9 %"):
        main([*QUICK, "--min-accuracy", "99.9"])
    assert "test accuracy: " in capsys.readouterr().out


def test_finished_run_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*QUICK, "--min-accuracy", "0"]
    main(argv)
    first = capsys.readouterr().out.splitlines()
    main(argv)
    again = capsys.readouterr().out.splitlines()
    assert "the run of that checkpoint is finished: starting afresh" in again
    assert again[-1] == first[-1]


@pytest.mark.parametrize("argv", [["--batch-size", "0"], ["--epochs", "0"]])
def test_settings_that_train_nothing_are_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        main(argv)
