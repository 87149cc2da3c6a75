"""Images and clouds as JSON, for scripts. README.md documents the shape."""

import json
from typing import Any

from exporter.model.cloud import unresolved
from exporter.model.expectations.checks import CheckResult
from exporter.model.expectations.format import to_json
from exporter.model.instant import Instant
from exporter.model.outcome import Failed
from exporter.model.status import ImageStatus
from exporter.text import format_utc
from exporter.web.pages.image_list import CloudStanding, Listing
from exporter.web.pages.query import QueryError

Document = dict[str, Any]

OF_IMAGE = (
    "name",
    "status",
    "size_bytes",
    "virtual_size_bytes",
    "protected",
    "public",
    "hidden",
    "visibility",
    "min_disk_bytes",
    "min_ram_bytes",
    "disk_format",
    "container_format",
    "project_id",
)
"""The attributes of an image that are given as they are; null where they are not known."""

TIMES_OF_IMAGE = ("created_at", "updated_at", "deleted_at")


def listing_document(listing: Listing) -> Document:
    """The answer of ``/api/images``."""
    query = listing.query
    return {
        "time": format_utc(listing.now.wall),
        "shard": {"index": listing.shard.index, "total": listing.shard.total},
        "total": listing.total,
        "matching": listing.matching,
        "page": query.page,
        "pages": listing.pages,
        "limit": query.limit,
        "images": [image_document(row) for row in listing.rows],
        "clouds": [cloud_document(cloud) for cloud in listing.clouds],
    }


def image_document(row: ImageStatus) -> Document:
    """One image."""
    target, seen, image = row.target, row.seen, row.seen.image
    return {
        "cloud": target.cloud,
        "image": target.alias,
        "image_id": target.image_id,
        "source": target.source,
        "state": row.state,
        "since": _at(seen.since),
        "problems": list(row.problems),
        "exists": seen.exists,
        **{name: getattr(image, name, None) for name in OF_IMAGE},
        **{name: _utc(getattr(image, name, None)) for name in TIMES_OF_IMAGE},
        "digests": dict(image.digests) if image else {},
        "properties": dict(target.shown(image.properties)) if image else {},
        "expectations": [_verdict(each) for each in row.verdicts],
        "last_change": _last_change(row),
        "last_poll": _last_poll(row),
        "last_answer_at": _at(seen.answered_at),
    }


def cloud_document(cloud: CloudStanding) -> Document:
    """One cloud."""
    state = cloud.state
    discovery = {
        "last_success_at": _utc(state.discovered_at),
        "failure": _failure(state.discovery_failure),
        "images": cloud.discovered,
        "aliases": {**dict.fromkeys(unresolved(state)), **state.resolved},
    }
    return {
        "name": state.name,
        "images": cloud.images,
        "images_with_problems": cloud.problems,
        "troubles": list(cloud.cloud_problems),
        "api_up": state.api_up,
        "api_version": state.api_version,
        "breaker_open": state.breaker_open,
        "mass_disappearance": state.mass_disappearance,
        "interval_seconds": state.interval,
        "last_cycle_at": _utc(state.last_cycle_at),
        "last_cycle_seconds": state.last_cycle_duration,
        "next_cycle_at": _utc(state.next_cycle_at),
        "cycles_skipped": state.cycles_skipped,
        "sign_in": {
            "token_expires_at": _utc(state.token_expires_at),
            "authentications": state.authentications,
            "failures": state.authentication_failures,
            "failure": state.sign_in_failure,
        },
        "discovery": None if state.discovery_interval is None else discovery,
    }


def _verdict(verdict: CheckResult) -> Document:
    """As in the report of ``check``."""
    return {
        "expectation": verdict.expectation,
        "expected": to_json(verdict.wanted),
        "actual": to_json(verdict.actual),
        "met": verdict.met,
    }


def _last_change(row: ImageStatus) -> Document | None:
    if row.seen.changed_at is None:
        return None
    changes = [{"what": each.what, "old": each.old, "new": each.new} for each in row.seen.changed]
    return {"at": _at(row.seen.changed_at), "changes": changes}


def _last_poll(row: ImageStatus) -> Document | None:
    seen = row.seen
    if seen.polled_at is None:
        return None
    return {
        "at": _at(seen.polled_at),
        "success": seen.poll_success,
        "failure": _failure(seen.failure),
        "request_id": seen.request_id or None,
    }


def _failure(failed: Failed | None) -> Document | None:
    return None if failed is None else {"reason": failed.reason, "detail": failed.detail}


def _at(moment: Instant | None) -> str | None:
    return None if moment is None else format_utc(moment.wall)


def _utc(wall: float | None) -> str | None:
    return None if wall is None else format_utc(wall)


def refusal_document(refused: QueryError) -> Document:
    """What is answered to parameters that make no sense."""
    return {
        "error": str(refused),
        "parameters": [
            {"name": name, "value": value, "accepted": accepted}
            for name, value, accepted in refused.parameters
        ],
    }


def as_json(document: Document) -> str:
    """The document as text of ASCII: no character in it can do anything to a terminal."""
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
