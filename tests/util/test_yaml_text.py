from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.yaml_text import dump_yaml

TEXT = st.one_of(
    st.text(max_size=8),
    st.text(alphabet="ab \n'\":#-$\té", max_size=200),
    st.sampled_from(
        [
            "0",
            "1",
            "08",
            "yes",
            "No",
            "NULL",
            "offset",
            "a/b-c",
            "y",
            "null",
            "~",
            "2020-01-01",
            "x" * 100 + " y",
        ]
    ),
)
LEAF = st.one_of(TEXT, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
DATA = st.recursive(
    LEAF,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=30,
)


@given(st.one_of(st.lists(DATA), st.dictionaries(TEXT, DATA)))
def test_the_text_is_that_of_the_library(data: Any) -> None:
    assert dump_yaml(data) == yaml.dump(data, Dumper=yaml.CDumper)
