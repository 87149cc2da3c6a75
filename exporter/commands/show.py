"""All that a cloud says of one image."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.app import Application
from exporter.commands import Exit
from exporter.commands.check import poll_all, size_words, why, yes_no
from exporter.model.image import Image
from exporter.model.observation import Observation
from exporter.model.status import state_of
from exporter.model.target import Target
from exporter.text import escape


def show(parts: Application, out: Console, err: Console) -> int:
    """Polls the image in each cloud and shows all there is; 0 when one cloud has it."""
    poll_all(parts.pollers, err)
    rows = parts.store.observations()
    for place, (target, seen) in enumerate(rows):
        if place:
            out.print()
        out.print(_table(target, seen))
    there = any(seen.poll_success and seen.exists for _, seen in rows)
    return Exit.OK if there else Exit.NOT_AS_EXPECTED


def _table(target: Target, seen: Observation) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _rows(target, seen):
        table.add_row(Text(escape(name)), Text(escape(value)))
    return table


def _rows(target: Target, seen: Observation) -> Iterable[tuple[str, str]]:
    yield "cloud", target.cloud
    yield "image_id", target.image_id
    yield "image", target.alias
    yield "state", state_of(seen)
    if seen.request_id:
        yield "request_id", seen.request_id
    if reason := why(target, seen):
        yield "why", reason
    if seen.image is not None:
        yield from described(seen.image)


def described(image: Image) -> Iterable[tuple[str, str]]:
    """Name and value of all that is known of an image, in words."""
    for field in fields(image):
        value = getattr(image, field.name)
        if value in {None, ()} or field.name in {"id", "digests", "properties"}:
            continue
        yield field.name, _words(field.name, value)
    yield from image.digests
    yield from ((f"property {name}", value) for name, value in image.properties)


def _words(name: str, value: object) -> str:
    if isinstance(value, bool):
        return yes_no(value)
    if name.endswith("_bytes") and isinstance(value, int) and value >= 1024:
        return f"{value} ({size_words(value)})"
    if name.endswith("_at") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat()
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)
