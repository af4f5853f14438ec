from __future__ import annotations

import warnings

import pytest

from torchx.deprecations import deprecated, deprecated_module


@deprecated(replacement="new_sum")
def old_sum(left: int, right: int = 0) -> int:
    """Adds."""
    return left + right


def test_decorated_function_works_as_before() -> None:
    with pytest.warns(UserWarning, match="Deprecated"):
        assert old_sum(1, right=2) == 3
    assert (old_sum.__name__, old_sum.__doc__) == ("old_sum", "Adds.")


def test_each_call_warns_the_caller_with_name_and_replacement() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old_sum(1)
        old_sum(1)
    assert len(caught) == 2
    for warning in caught:
        assert warning.category is UserWarning
        assert warning.filename == __file__
        assert "[Deprecated] `old_sum`" in str(warning.message)
        assert "`new_sum`" in str(warning.message)


def test_replacement_is_optional_and_the_qualified_name_is_shown() -> None:
    class Legacy:
        @deprecated()
        def run(self) -> str:
            return "ran"

    with pytest.warns(UserWarning, match="Deprecated") as caught:
        assert Legacy().run() == "ran"
    message = str(caught[0].message)
    assert "Legacy.run" in message
    assert "instead" not in message


def test_moved_module_names_both_paths() -> None:
    with pytest.warns(UserWarning, match="Deprecated") as caught:
        deprecated_module("torchx.old", "torchx.new", stacklevel=2)
    message = str(caught[0].message)
    assert "Deprecated" in message
    assert "will be removed" in message
    assert message.endswith("- import torchx.old\n+ import torchx.new")
    assert caught[0].filename == __file__
