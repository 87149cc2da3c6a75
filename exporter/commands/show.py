"""``show``: print all attributes of one image."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.app import Application
from exporter.commands import Exit
from exporter.commands.check import poll_report
from exporter.commands.output import format_bytes, why, yes_no
from exporter.model.image import Image
from exporter.model.observation import Observation
from exporter.model.status import ImageStatus
from exporter.text import escape

_NOT_ATTRIBUTES = frozenset({"id", "digests", "properties"})
"""Fields of an image that are printed as rows of their own."""


def show(application: Application, out: Console, err: Console) -> int:
    """Poll the image in each cloud and print its attributes; return 0 if one cloud has it."""
    statuses = [image.status for image in poll_report(application, err).images]
    for index, status in enumerate(statuses):
        if index:
            out.print()
        out.print(_table(status))
    observations = [status.observation for status in statuses]
    exists = any(observation.poll_success and observation.exists for observation in observations)
    return Exit.OK if exists else Exit.NOT_AS_EXPECTED


def _table(status: ImageStatus) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _rows(status):
        table.add_row(Text(escape(name)), Text(escape(value)))
    return table


def _rows(status: ImageStatus) -> Iterable[tuple[str, str]]:
    yield "cloud", status.target.cloud
    yield "image_id", status.target.image_id
    yield "image", status.target.alias
    yield "state", status.state
    if status.observation.request_id:
        yield "request_id", status.observation.request_id
    if reason := why(status):
        yield "why", reason
    if status.observation.exists is False:
        yield from _evidence_rows(status.observation)
    if status.observation.image is not None:
        yield from image_rows(status.observation.image)


def _evidence_rows(observation: Observation) -> Iterable[tuple[str, str]]:
    evidence = observation.gone_evidence
    if evidence is not None and observation.first_404_at is not None:
        yield "first_404_at", datetime.fromtimestamp(observation.first_404_at, UTC).isoformat()
        yield "controls", ", ".join(evidence.controls)
        yield "connections", "; ".join(evidence.connections)
        yield "404s", ", ".join(evidence.request_ids)


def image_rows(image: Image) -> Iterable[tuple[str, str]]:
    """Yield the name and the value of every attribute that is known, in words."""
    for field in fields(image):
        value = getattr(image, field.name)
        if field.name not in _NOT_ATTRIBUTES and value not in {None, ()}:
            yield field.name, _format_attribute(field.name, value)
    yield from image.digests
    yield from ((f"property {name}", value) for name, value in image.properties)


def _format_attribute(name: str, value: object) -> str:
    if isinstance(value, bool):
        return yes_no(value)
    if name.endswith("_bytes") and isinstance(value, int) and value >= 1024:
        return f"{value} ({format_bytes(value)})"
    if name.endswith("_at") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat()
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)
