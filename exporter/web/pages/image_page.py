"""The HTML page of one image."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jinja2.filters import do_filesizeformat

from exporter.model.image import Image
from exporter.text import format_utc
from exporter.web.pages.image_details import ImageDetails, basis
from exporter.web.pages.page import SCRIPT_PATH, STYLE, TEMPLATES
from exporter.web.pages.query import PageQuery, QueryError

ROOT = "../../"
"""Path of the first page, relative to the page of an image."""


class Field(NamedTuple):
    """A field of an image, and the lines of its value."""

    label: str
    lines: tuple[str, ...]


Format = Callable[..., tuple[str, ...]]
"""Returns the lines of a value, none if it is empty."""


def _text(value: object) -> tuple[str, ...]:
    return (str(value),)


def _yes_no(value: bool) -> tuple[str, ...]:
    return ("yes" if value else "no",)


def _bytes(value: int) -> tuple[str, ...]:
    exact = f"{value:,} bytes"
    return (exact,) if value < 1024 else (f"{do_filesizeformat(value, binary=True)} ({exact})",)


def _time(value: float) -> tuple[str, ...]:
    return (f"{format_utc(value)[:19].replace('T', ' ')} UTC",)


def _pairs(value: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(f"{name}: {text}" for name, text in value)


def _lines(value: tuple[str, ...]) -> tuple[str, ...]:
    return value


FIELDS: Mapping[str, tuple[str, Format]] = MappingProxyType(
    {
        "name": ("Name", _text),
        "status": ("Status", _text),
        "size_bytes": ("Size", _bytes),
        "virtual_size_bytes": ("Virtual size", _bytes),
        "min_disk_bytes": ("Minimum disk", _bytes),
        "min_ram_bytes": ("Minimum memory", _bytes),
        "disk_format": ("Disk format", _text),
        "container_format": ("Container format", _text),
        "protected": ("Protected", _yes_no),
        "visibility": ("Visibility", _text),
        "public": ("Public", _yes_no),
        "hidden": ("Hidden", _yes_no),
        "project_id": ("Owner", _text),
        "created_at": ("Created", _time),
        "updated_at": ("Updated", _time),
        "deleted": ("Deleted", _yes_no),
        "deleted_at": ("Deleted at", _time),
        "digests": ("Digest", _pairs),
        "tags": ("Tags", _lines),
        "stores": ("Stores", _lines),
        "properties": ("Properties", _pairs),
        "api": ("API version", _text),
    }
)
"""Label and format of every attribute of an image that a response describes."""


def fields_of(image: Image) -> Iterator[Field]:
    """Yield the fields that the response had."""
    for attribute, (label, format_value) in FIELDS.items():
        value = getattr(image, attribute)
        if value is not None and (lines := format_value(value)):
            yield Field(label, lines)


def missing_fields(image: Image) -> tuple[str, ...]:
    """Return the labels of the fields that the response did not have."""
    present = {field.label for field in fields_of(image)}
    return tuple(label for label, _ in FIELDS.values() if label not in present)


def render_image_page(
    details: ImageDetails | None,
    query: PageQuery,
    error: QueryError | None = None,
    *,
    metrics_path: str = "/metrics",
) -> str:
    """Render the page of an image as HTML.

    Args:
        details: The image, or None if it is not watched.
        query: The refresh interval.
        error: The invalid parameters that the query ignores.
        metrics_path: Path of the metrics, below the path of all pages.
    """
    return _PAGE.render(
        details=details,
        now=details and details.now,
        query=query,
        error=error,
        style=STYLE,
        script=ROOT + SCRIPT_PATH,
        metrics_path=metrics_path.lstrip("/"),
        root=ROOT,
    )


TEMPLATES.globals.update(basis=basis, fields_of=fields_of, missing_fields=missing_fields)
_PAGE = TEMPLATES.get_template("image.html")
