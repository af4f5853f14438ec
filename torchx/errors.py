"""The tree of errors that torchx raises on purpose.

::

    Exception
    └── TorchXError                      carries a message, a hint and whether it is transient
        ├── InvalidRunConfigException    a run option is missing, unknown or of the wrong type
        ├── MalformedAppHandleException  text that is no ``scheduler://session/app_id``
        ├── UnknownSchedulerException    no scheduler is registered under that name
        ├── UnknownAppException          the scheduler does not know that app (any more)
        ├── ComponentNotFoundException   no component has that name
        ├── ComponentValidationException a component breaks the rules for components
        ├── JobStartError                a back end accepted a job but could not start it
        └── BackendError                 a back end failed to answer; see ``transient``

The classes that belong to the published interface are defined where that interface puts them
(``torchx.specs``, ``torchx.specs.finder``); this module holds the root and what has no older home.
"""

from __future__ import annotations


class TorchXError(Exception):
    """The root of all errors that torchx raises on purpose.

    Args:
        message: One sentence for a person: what was wrong, naming the input.
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later without any change.

    Attributes:
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later without any change.
    """

    def __init__(self, message: str, *, hint: str = "", transient: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.transient = transient


class JobStartError(TorchXError):
    """A job was accepted but could not be started; nothing of it is left running."""


class BackendError(TorchXError):
    """A back end did not answer, or answered with a failure of its own."""
