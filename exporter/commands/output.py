"""Output of ``check``: tables for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.model.expectations.checks import as_expected
from exporter.model.expectations.format import format_actual, format_expected
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.sharding import Shard
from exporter.model.status import ImageStatus, image_status, severity
from exporter.store import Store
from exporter.text import escape
from exporter.web.pages.json_api import image_document

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

WIDE = 120
"""Columns of a terminal from which on all columns of the table are printed."""

ESSENTIAL_COLUMNS = frozenset({"CLOUD", "IMAGE", "ID", "STATE", "WHY"})
FOLDED_COLUMNS = frozenset({"IMAGE", "NAME", "WHY"})
"""Columns that may fold. The others are short, or are copied and must stay on one line."""

NOT_FOUND = "404: deleted, never there, or not visible to these credentials"
DELETED = "deleted; only administrators still see it"

SEVERITY_COLORS = {"good": "green", "bad": "red", "unknown": "yellow"}

RESULT_STYLES = {
    True: ("met", "green"),
    None: ("cannot be verified", "yellow"),
    False: ("not met", "red"),
}
"""The text and color of each result of a check, in the order of the table: the worst is last."""

RESULT_HEADINGS = ("CLOUD", "IMAGE", "EXPECTATION", "EXPECTED", "ACTUAL", "RESULT")
RESULT_KEYS = {True: "met", False: "not_met", None: "not_judged"}
"""Keys of the counts in the JSON."""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of every image after one poll.

    Attributes:
        problems: Problems of discovery.
        warnings: Problems of the clouds that do not prevent an image from being as expected.
    """

    images: tuple["CheckedImage", ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    shard: Shard
    now: Instant

    @property
    def is_as_expected(self) -> bool:
        """True if every image is as expected and every discovery was successful."""
        return not self.problems and all(image.is_as_expected for image in self.images)


class CheckedImage(NamedTuple):
    """An image with its status. A poll that failed is never as expected."""

    status: ImageStatus
    is_as_expected: bool


def checked_images(store: Store, now: Instant) -> tuple[CheckedImage, ...]:
    """Return every image of the store with its status."""
    images = []
    for target, observation in store.observations():
        is_expected = as_expected(target.expect, observation, now)
        status = image_status(target, observation, now)
        images.append(CheckedImage(status, observation.poll_success and is_expected))
    return tuple(images)


def print_line(console: Console, line: str) -> None:
    """Print one line, never folded, with unprintable characters escaped."""
    console.print(Text(escape(line)), soft_wrap=True)


def print_tables(report: Report, out: Console) -> None:
    """Print the images, their expectations, the counts, the problems and the warnings."""
    out.print(_image_table(report.images, out.width))
    expectations = _expectation_table(report.images)
    if expectations.row_count:
        out.print()
        out.print(expectations)
        out.print()
    wrong = sum(not image.is_as_expected for image in report.images)
    shard = report.shard
    of_shard = f" (shard {shard.index} of {shard.total})" if shard.total > 1 else ""
    out.print(f"images: {len(report.images)}, not as expected: {wrong}{of_shard}")
    for line in (*report.problems, *report.warnings):
        print_line(out, line)


def format_json(report: Report) -> str:
    """Return the report as one JSON document in ASCII, so that no name can harm a terminal."""
    results = [result for image in report.images for result in image.status.check_results]
    counts = Counter(RESULT_KEYS[result.met] for result in results)
    document = {
        "as_expected": report.is_as_expected,
        "expectations": {key: counts[key] for key in RESULT_KEYS.values()},
        "problems": list(report.problems),
        "warnings": list(report.warnings),
        "images": [_image_document(image) for image in report.images],
    }
    return json.dumps(document, indent=2)


def _image_document(image: CheckedImage) -> dict[str, object]:
    """Return an image as ``/api/images`` has it, with the keys that only ``check`` has."""
    failure = image.status.observation.failure
    return {
        **image_document(image.status),
        "as_expected": image.is_as_expected,
        "failure": failure and {"reason": failure.reason, "detail": failure.detail},
    }


def why(status: ImageStatus) -> str:
    """Return in words why an image is not as expected; empty if it is."""
    observation = status.observation
    if observation.failure is not None:
        return f"{observation.failure.reason}: {observation.failure.detail}"
    failed = [result.expectation for result in status.failed_checks]
    if observation.exists is False:
        if dict(status.target.expect).get("exists") is False:
            return ""
        if observation.image is None:
            evidence = observation.gone_evidence
            return NOT_FOUND if evidence is None else f"{NOT_FOUND}; {evidence.summary}"
    reasons = (("does not match", failed), ("cannot be verified", status.unverifiable))
    text = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in reasons if names)
    return text or (DELETED if observation.exists is False else "")


def yes_no(value: bool | None) -> str:
    """Return ``yes`` or ``no``; empty if unknown."""
    return "" if value is None else ("yes" if value else "no")


def format_bytes(size: float | None) -> str:
    """Format bytes in the largest unit that fits; empty if unknown."""
    if size is None:
        return ""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


def _of_image(cell: Callable[[Image], str]) -> Callable[[ImageStatus], str]:
    """Return a column that is empty if nothing is known of the image."""
    return lambda status: "" if status.observation.image is None else cell(status.observation.image)


def _alias(status: ImageStatus) -> str:
    target = status.target
    return "-" if target.alias == target.image_id else target.alias


def _state(status: ImageStatus) -> str:
    """Return the state; an undocumented status as the Image service reports it."""
    image = status.observation.image
    return image.status if status.state == "other" and image is not None else status.state


COLUMNS: dict[str, Callable[[ImageStatus], str]] = {
    "CLOUD": lambda status: status.target.cloud,
    "IMAGE": _alias,
    "ID": lambda status: status.target.image_id,
    "STATE": _state,
    "SIZE": _of_image(lambda image: format_bytes(image.size_bytes)),
    "PROTECTED": _of_image(lambda image: yes_no(image.protected)),
    "PUBLIC": _of_image(lambda image: yes_no(image.public)),
    "NAME": _of_image(lambda image: image.name or ""),
    "WHY": why,
}
"""The cell of an image below each heading."""


def _image_table(images: Sequence[CheckedImage], width: int) -> Table:
    headings = [heading for heading in COLUMNS if width >= WIDE or heading in ESSENTIAL_COLUMNS]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading == "SIZE" else "left",
            no_wrap=heading not in FOLDED_COLUMNS,
            overflow="fold",
        )
    for image in images:
        table.add_row(
            *(
                Text(
                    escape(COLUMNS[heading](image.status)),
                    _state_color(image) if heading == "STATE" else "",
                )
                for heading in headings
            )
        )
    return table


def _state_color(image: CheckedImage) -> str:
    """Return the color of a state: green if it is good or is what ``expect`` says."""
    status = image.status
    is_gone = status.observation.exists is False
    is_state_expected = is_gone or "status" in dict(status.target.expect)
    if image.is_as_expected and is_state_expected:
        return "green"
    # An administrator sees the last status of a deleted image, which may be active.
    return SEVERITY_COLORS["bad" if is_gone else severity(status.state)]


def _expectation_table(images: Sequence[CheckedImage]) -> Table:
    """Return a row for every expectation. Unmet expectations are last, nearest the prompt.

    For a gone image only its existence is verified, so its other expectations are left out.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in RESULT_HEADINGS:
        is_short = heading in {"EXPECTATION", "RESULT"}
        table.add_column(heading, no_wrap=is_short, overflow="fold")
    rows = [
        (status.target, result)
        for status, _ in images
        for result in status.check_results
        if result.met is not None or status.observation.exists is not False
    ]
    order = list(RESULT_STYLES)
    for target, result in sorted(rows, key=lambda row: order.index(row[1].met)):
        text, color = RESULT_STYLES[result.met]
        cells = (
            target.cloud,
            target.alias,
            result.expectation,
            format_expected(result),
            format_actual(result),
        )
        table.add_row(*(Text(escape(cell)) for cell in cells), Text(text, color))
    return table
