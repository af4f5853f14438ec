"""App definitions as text, without the secrets in them."""

from __future__ import annotations

import dataclasses
from pprint import pformat
from typing import TYPE_CHECKING

from torchx.util.redact import redact_data

if TYPE_CHECKING:
    from torchx.specs import AppDef


def format_app(app: AppDef) -> str:
    """Returns the definition of an app as text that is safe to print.

    Args:
        app: The app.

    Returns:
        Its fields as a nested dict, with secrets in env, arguments and metadata replaced.
    """
    return pformat(redact_data(dataclasses.asdict(app)), indent=2, width=80)
