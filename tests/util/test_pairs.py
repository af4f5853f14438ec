from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.pairs import parse_pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("FOO=v1", {"FOO": "v1"}),
        ("FOO=v1,v2", {"FOO": "v1,v2"}),
        ("FOO=v1;v2", {"FOO": "v1;v2"}),
        ("FOO=''", {"FOO": ""}),
        ('FOO=""', {"FOO": ""}),
        ("FOO=,", {"FOO": ","}),
        ("FOO=;", {"FOO": ";"}),
        ("FOO=v1,v2,", {"FOO": "v1,v2,"}),
        ("FOO=v1;v2;", {"FOO": "v1;v2;"}),
        ("FOO=v1,v2,BAR=v3", {"FOO": "v1,v2", "BAR": "v3"}),
        ("FOO=v1;v2;BAR=v3", {"FOO": "v1;v2", "BAR": "v3"}),
        ("FOO=v1,v2;BAR=v3", {"FOO": "v1,v2", "BAR": "v3"}),
        ("FOO=v1;v2,BAR=v3", {"FOO": "v1;v2", "BAR": "v3"}),
        ("foo=b1,b2,b3,my_key=v,new=n1,n2", {"foo": "b1,b2,b3", "my_key": "v", "new": "n1,n2"}),
        ("key1=value1,,foo=bar", {"key1": "value1,", "foo": "bar"}),
        ('FOO="value with = and , and ;"', {"FOO": "value with = and , and ;"}),
        ("FOO='a=b',BAR=c", {"FOO": "a=b", "BAR": "c"}),
        ("FOO= v1 , BAR = v2 ", {"FOO": "v1", "BAR": "v2"}),
        ("=FOO=v", {"FOO": "v"}),
        ("FOO==v", {"FOO": "v"}),
        ("FOO=v1;v2,BAR=v3==", {"FOO": "v1;v2", "BAR": "v3"}),
        ("A=1,A=2", {"A": "2"}),
        ("A=it's,B=that's", {"A": "it's", "B": "that's"}),
        ("A='", {"A": "'"}),
        ("'a=b'=c", {"a=b": "c"}),
        ("A='x','y=z'", {"A": "'x','y=z'"}),
        (r"A='it\'s = fine',B=1", {"A": r"it\'s = fine", "B": "1"}),
        ("A=__QUOTED_0__,B='x=y'", {"A": "__QUOTED_0__", "B": "x=y"}),
    ],
)
def test_parses(text: str, pairs: dict[str, str]) -> None:
    assert parse_pairs(text) == pairs


@pytest.mark.parametrize(
    "text",
    ["FOO", "FOO,", "FOO;", "FOO=", "FOO=;BAR=v1", " ", "=v", "FOO=a=b", "FOO=v1,=v2"],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="NAME"):
        parse_pairs(text)


_KEYS = st.text("abc_0é", min_size=1)
_VALUES = st.text("abc ,;='\"é\n", min_size=0)


@given(st.dictionaries(_KEYS, _VALUES.filter(lambda text: '"' not in text), min_size=1))
def test_quoted_values_arrive_as_they_are(pairs: dict[str, str]) -> None:
    assert parse_pairs(",".join(f'{key}="{value}"' for key, value in pairs.items())) == pairs


@given(st.text("ab=,;'\"\\ ", max_size=12))
def test_any_text_is_pairs_or_a_value_error(text: str) -> None:
    try:
        pairs = parse_pairs(text)
    except ValueError:
        return
    assert all(isinstance(value, str) for value in pairs.values())
