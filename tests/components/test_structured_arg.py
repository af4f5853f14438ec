"""--name and -j."""

import pytest

from torchx.components.structured_arg import StructuredJArgument, StructuredNameArgument


@pytest.mark.parametrize(
    ("name", "experiment", "run"),
    [
        ("/", "default-experiment", "baz"),
        ("", "default-experiment", "baz"),
        ("/foo", "default-experiment", "foo"),
        ("foo", "default-experiment", "foo"),
        ("foo/", "foo", "baz"),
        ("foo/bar", "foo", "bar"),
        ("a/b/c", "a", "b/c"),
    ],
)
def test_names(name: str, experiment: str, run: str) -> None:
    expected = StructuredNameArgument(experiment, run)
    assert StructuredNameArgument.parse_from(name, m="bar.baz") == expected
    assert StructuredNameArgument.parse_from(name, script="bar/baz.py") == expected
    assert str(expected) == f"{experiment}/{run}"


def test_default_experiment_can_be_chosen() -> None:
    parsed = StructuredNameArgument.parse_from("/", m="a", default_experiment_name="e")
    assert parsed == StructuredNameArgument("e", "a")


def test_name_needs_exactly_one_program() -> None:
    with pytest.raises(ValueError, match="No main module or script specified"):
        StructuredNameArgument.parse_from("/")
    with pytest.raises(ValueError, match="Both main module and script set"):
        StructuredNameArgument.parse_from("/", m="a", script="b.py")


def test_processes_are_counted_by_gpu() -> None:
    parsed = StructuredJArgument.parse_from("aws_p4d.24xlarge", "2")
    assert parsed == StructuredJArgument(nnodes=2, nproc_per_node=8)
    assert str(parsed) == "2x8"


@pytest.mark.parametrize("nproc", [4, 16])
def test_number_of_processes_is_honoured_with_a_warning(nproc: int) -> None:
    with pytest.warns(UserWarning, match=f"runs {nproc} processes"):
        parsed = StructuredJArgument.parse_from("aws_p4d.24xlarge", f"2x{nproc}")
    assert parsed == StructuredJArgument(2, nproc)


def test_host_without_gpus_needs_a_number_of_processes() -> None:
    reason = r"nproc_per_node cannot be inferred from GPU count. `aws_trn1.32xlarge` is not a GPU"
    with pytest.raises(ValueError, match=reason):
        StructuredJArgument.parse_from("aws_trn1.32xlarge", "2")
    with pytest.warns(UserWarning, match="has 0 GPUs"):
        assert str(StructuredJArgument.parse_from("aws_trn1.2xlarge", "2x8")) == "2x8"


@pytest.mark.parametrize("j", ["", "2x", "x2", "a", "1:2x8", "1x2x3", "0x8", "2x0", "0", "2\n"])
def test_other_sizes_are_refused(j: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid format for `-j`: "):
        StructuredJArgument.parse_from("aws_p4d.24xlarge", j)
