from __future__ import annotations

import pytest

from torchx.specs.component_source import standalone_source

SOURCE = '''"""About the file."""
from __future__ import annotations

import os
import sys
import os.path as osp
from typing import (
    Optional,
    Union,
)
from . import sibling
from ..cousin import thing as renamed

try:
    import fast as engine
except ImportError:
    engine = None

DEFAULT = _default()


def _default() -> str:
    return osp.sep


def unrelated() -> str:
    return sys.executable


class Helper:
    size = DEFAULT


@sibling.decorate
def component(a: Optional[int] = None, b: "Helper | None" = None) -> str:
    """Not a name: sys."""
    return os.getcwd() + renamed + str(engine)
'''


def test_only_what_is_used_comes_along_in_the_order_of_the_file() -> None:
    assert standalone_source(SOURCE, "component", "package.inner") == (
        "from __future__ import annotations\n"
        "import os\n"
        "import os.path as osp\n"
        "from typing import (\n"
        "    Optional,\n"
        "    Union,\n"
        ")\n"
        "from package.inner import sibling\n"
        "from package.cousin import thing as renamed\n"
        "\n\n"
        "try:\n"
        "    import fast as engine\n"
        "except ImportError:\n"
        "    engine = None\n"
        "\n\n"
        "DEFAULT = _default()\n"
        "\n\n"
        "def _default() -> str:\n"
        "    return osp.sep\n"
        "\n\n"
        "class Helper:\n"
        "    size = DEFAULT\n"
        "\n\n"
        "@sibling.decorate\n"
        'def component(a: Optional[int] = None, b: "Helper | None" = None) -> str:\n'
        '    """Not a name: sys."""\n'
        "    return os.getcwd() + renamed + str(engine)\n"
    )


def test_a_plain_file_keeps_its_relative_imports() -> None:
    assert "from . import sibling" in standalone_source(SOURCE, "component", None)


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="nothing"):
        standalone_source(SOURCE, "nothing", None)
