"""``list``: print the visible images of each cloud as YAML for the settings."""

import threading

import yaml
from rich.console import Console

from exporter.app import Application
from exporter.clock import steady
from exporter.commands import Exit
from exporter.commands.output import print_line
from exporter.glance.discovery_listing import fetch_images
from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline
from exporter.polling.page_retries import RetryingPageClient
from exporter.polling.poller import Poller
from exporter.text import escape

LIST_TIMEOUT = 300.0
"""Seconds after which the list of one cloud is given up."""

NEVER_FOLD = 2**16
"""Columns of a line before it is folded."""


def list_images(application: Application, out: Console, err: Console) -> int:
    """Print the images of every cloud as entries of ``images:``; return 0 if no list failed."""
    status = Exit.OK
    for poller in application.pollers:
        images = _fetch(poller)
        if isinstance(images, Failed):
            print_line(err, f"{poller.cloud}: {images.reason}: {images.detail}")
            status = Exit.NOT_AS_EXPECTED
            continue
        print_line(out, f"# {poller.cloud}")
        for image in sorted(images, key=lambda image: (image.name or "", image.id)):
            print_line(out, image_entry(image))
    return status


def image_entry(image: Image) -> str:
    """Return an image as an entry of ``images:``, with its name as a comment.

    The name comes from a tenant. It is escaped, so that it cannot end the comment.
    """
    entry = yaml.safe_dump([{"id": image.id}], width=NEVER_FOLD).strip()
    return f"{entry}  # {escape(image.name)}" if image.name else entry


def _fetch(poller: Poller) -> tuple[Image, ...] | Failed:
    end = steady() + LIST_TIMEOUT
    deadline = Deadline(end, end)
    client = RetryingPageClient(poller.client, poller.random, threading.Event())
    return fetch_images(client, [DiscoveryRule()], deadline, frozenset()).images
