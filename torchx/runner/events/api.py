"""The record of one call of the runner."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum

from torchx.util.records import record


class SourceType(str, Enum):
    """Who made the call that an event records."""

    UNKNOWN = "<unknown>"
    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"


@record
class TorchxEvent:
    """One call of the runner: what was asked, how long it took and how it failed, if it did.

    Attributes:
        session: Session that the call belongs to.
        scheduler: Name of the scheduler, ``""`` if none was involved.
        api: Name of the runner's method.
        app_id: Id of the app; its name for a dry run.
        app_image: Image of the first role.
        app_metadata: Metadata of the app.
        runcfg: JSON of the run options.
        raw_exception: Traceback of the exception that ended the call.
        source: Who made the call.
        cpu_time_usec: CPU time of the whole process during the call, in microseconds.
        wall_time_usec: Duration of the call, in microseconds.
        start_epoch_time_usec: Start of the call, in microseconds since the epoch.
        workspace: Workspace given to the call.
        exception_type: Class name of the exception.
        exception_message: Its text.
        exception_source_location: JSON of ``filename``, ``lineno`` and ``name`` of where it arose.
    """

    session: str
    scheduler: str
    api: str
    app_id: str | None = None
    app_image: str | None = None
    app_metadata: dict[str, str] | None = None
    runcfg: str | None = None
    raw_exception: str | None = None
    source: SourceType = SourceType.UNKNOWN
    cpu_time_usec: int | None = None
    wall_time_usec: int | None = None
    start_epoch_time_usec: int | None = None
    workspace: str | None = None
    exception_type: str | None = None
    exception_message: str | None = None
    exception_source_location: str | None = None

    def __str__(self) -> str:
        return self.serialize()

    @staticmethod
    def deserialize(data: str | TorchxEvent) -> TorchxEvent:
        """Reads an event back from its JSON.

        Args:
            data: What `serialize` returned, or an event, which is returned as it is.

        Returns:
            The event. A source that this release does not know becomes ``SourceType.UNKNOWN``.

        Raises:
            TypeError: ``data`` is neither text nor an event, or has keys that no event has.
        """
        if isinstance(data, TorchxEvent):
            return data
        if not isinstance(data, str):
            raise TypeError(f"an event is read from str or TorchxEvent, not {type(data).__name__}")
        import json

        fields = json.loads(data)
        source = fields.pop("source", None)
        known = {member.value: member for member in SourceType}
        return TorchxEvent(**fields, source=known.get(source, SourceType.UNKNOWN))

    def serialize(self) -> str:
        """Returns the event as JSON.

        Returns:
            A JSON object with all fields in the order of their declaration.
        """
        import json

        return json.dumps(asdict(self), default=str)
