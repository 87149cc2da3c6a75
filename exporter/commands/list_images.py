"""The images that are visible in each cloud, as YAML for the settings."""

import yaml
from rich.console import Console
from rich.text import Text

from exporter.app import Application
from exporter.clock import steady
from exporter.commands import Exit
from exporter.glance.discovery_listing import fetch_images, listing_paths
from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline
from exporter.polling.poller import Poller
from exporter.text import escape

LONGEST = 300.0
"""Seconds after which the list of one cloud is given up."""


def list_images(parts: Application, out: Console, err: Console) -> int:
    """Prints what can stand under ``images:``, a comment before each cloud's; 0 when all answer."""
    status = Exit.OK
    for poller in parts.pollers:
        images = _listed(poller)
        if isinstance(images, Failed):
            why = f"{poller.cloud}: {images.reason}: {images.detail}"
            err.print(Text(escape(why)), soft_wrap=True)
            status = Exit.NOT_AS_EXPECTED
            continue
        out.print(Text(escape(f"# {poller.cloud}")), soft_wrap=True)
        for image in sorted(images, key=lambda image: (image.name or "", image.id)):
            out.print(Text(line(image)), soft_wrap=True)
    return status


def line(image: Image) -> str:
    """One image as an entry of ``images:``, with its name as a comment.

    A name is a tenant's: it must neither end the comment nor bend the terminal.
    """
    entry = yaml.safe_dump([{"id": image.id}], width=2**16).strip()
    return f"{entry}  # {escape(image.name)}" if image.name else entry


def _listed(poller: Poller) -> tuple[Image, ...] | Failed:
    end = steady() + LONGEST
    within = Deadline(end, end)
    return fetch_images(poller.client, listing_paths([DiscoveryRule()]), within, frozenset()).images
