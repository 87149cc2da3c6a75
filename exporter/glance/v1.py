"""The Image service API v1: what is asked, and what each answer says."""

import json

from exporter.model.outcome import Failed, Found, NotFound, Reading, reason_for_status
from exporter.model.parsers import Malformed
from exporter.model.v1_headers import PREFIX, image_from_headers
from exporter.transport.response import Response, ResponseHead

VERSION = "v1"
OK = 200
NOT_FOUND = 404

LIST_PATH = "/v1/images?limit=1"
"""Answered from the same database as single images: a 200 proves the API for a token."""


def image_path(image_id: str) -> str:
    """What is asked by HEAD; IDs hold only characters that need no escape."""
    return f"/v1/images/{image_id}"


def read_image(answer: Response, image_id: str, properties: frozenset[str] | None) -> Reading:
    """What the answer to HEAD for an image says; redirects and other codes are ``Failed``."""
    head = answer.head
    if head.code == OK:
        image = image_from_headers(head.fields, image_id, properties)
        if isinstance(image, Malformed):
            return Failed("malformed", str(image), head.request_id)
        return Found(image, head.request_id)
    if head.code == NOT_FOUND:
        return NotFound(head.request_id)
    retry_after = head.first(b"retry-after") is not None
    return Failed(reason_for_status(head.code, retry_after), f"HTTP {head.code}", head.request_id)


def is_about(head: ResponseHead, image_id: str) -> bool:
    """Whether the answer may be about this image: it does not name another."""
    named = head.first(b"x-image-meta-id")
    return named is None or named == image_id.encode()


def is_images(head: ResponseHead) -> bool:
    """Whether it tells of an image, well or badly: it is the Image service that answered."""
    return any(name.startswith(PREFIX) for name, _ in head.fields)


def is_list(answer: Response) -> bool:
    """Whether it is a 200 that parses as a list of images."""
    if answer.head.code != OK:
        return False
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    images = document.get("images") if isinstance(document, dict) else None
    return isinstance(images, list) and all(isinstance(image, dict) for image in images)


def read_list_failure(answer: Response) -> Failed:
    """Why the answer to the list is no proof."""
    head = answer.head
    if head.code == OK:
        return Failed("malformed", "the list of images does not parse as one", head.request_id)
    retry_after = head.first(b"retry-after") is not None
    return Failed(reason_for_status(head.code, retry_after), f"HTTP {head.code}", head.request_id)
