from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from torchx.plugins import PluginRegistry
from torchx.plugins._report import as_yaml

Install = Callable[..., Path]

BOX = """\
from torchx.plugins import register
from torchx.specs import Resource

@register.named_resource(aliases=["big"], fractionals={1.0: "1", 0.5: "2"})
def box(fractional=1.0):
    return Resource(int(2 * fractional), 0, 2)
"""
DEMO = """\
from torchx.plugins import register

@register.scheduler()
def demo(session_name, **kwargs): ...
"""


def test_the_report_in_both_forms(install: Install) -> None:
    install(
        {
            "torchx_plugins/schedulers/demo.py": DEMO,
            "torchx_plugins/schedulers/bad.py": "raise ImportError('no libfoo')\n",
            "torchx_plugins/named_resources/hw.py": BOX,
        },
        entry_points="[torchx.named_resources]\nsmall = demo_hw:small\n",
    )
    one = PluginRegistry()
    del (report := one.to_dict())["tracker"]
    lacking = "ModuleNotFoundError: No module named 'demo_hw'"
    assert report == {
        "scheduler": [{"name": "demo", "module": "torchx_plugins.schedulers.demo"}],
        "named_resource": [
            {
                "name": "box",
                "module": "torchx_plugins.named_resources.hw",
                "aliases": ["big"],
                "fractionals": ["box_1", "box_2"],
            },
            {"name": "small", "module": "demo_hw", "aliases": [], "fractionals": []},
            {"name": "small", "module": "demo_hw", "error": lacking},
        ],
        "errors": [{"module": "torchx_plugins.schedulers.bad", "error": "ImportError: no libfoo"}],
    }
    text = str(one)
    assert yaml.safe_load(text) == one.to_dict()
    assert (
        "scheduler:\n"
        "  - name: demo\n"
        "    module: torchx_plugins.schedulers.demo\n"
        "named_resource:\n"
        "  - name: box\n"
        "    module: torchx_plugins.named_resources.hw\n"
        "    aliases: [big]\n"
        "    fractionals: [box_1, box_2]\n"
    ) in text
    assert '    error: "ImportError: no libfoo"\n' in text


def test_event_handlers_are_shown_if_there_are_any(install: Install) -> None:
    assert "event_handler" not in PluginRegistry().to_dict()
    handler = "from torchx.plugins import register\n@register.event_handler()\ndef lake(): ...\n"
    install({"torchx_plugins/event_handlers/lake.py": handler})
    assert [each["name"] for each in PluginRegistry().to_dict()["event_handler"]] == ["lake"]


names = st.text(min_size=1) | st.sampled_from(["on", "1", "null", "a: b", "- x", "1e3", "~", "y"])
entries = st.fixed_dictionaries(
    {"name": names | st.none(), "module": names},
    optional={"error": st.text(), "aliases": st.lists(names)},
)


@given(st.dictionaries(st.sampled_from(["scheduler", "tracker", "errors"]), st.lists(entries)))
def test_any_report_survives_its_yaml(report: dict[str, list[dict[str, Any]]]) -> None:
    assert (yaml.safe_load(as_yaml(report)) or {}) == report
