"""JSON documents of images, check results and clouds. OPERATIONS.md documents their shape.

``/api/images`` and the paths below it serve them, and ``check --format=json`` reports images in the
same form, so that a script reads both alike.
"""

import json
from math import isinf
from typing import Any

from exporter.model.cloud import unresolved
from exporter.model.expectations.checks import CheckResult
from exporter.model.expectations.format import to_json
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.outcome import Failed
from exporter.model.status import ImageStatus
from exporter.text import format_utc
from exporter.web.pages.image_details import ImageDetails, basis
from exporter.web.pages.image_list import CloudSummary, ImageList
from exporter.web.pages.query import QueryError

Document = dict[str, Any]
"""A JSON object."""

IMAGE_ATTRIBUTES = (
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
"""Attributes of an image that are copied; null if unknown."""

IMAGE_TIMES = ("created_at", "updated_at", "deleted_at")
"""Attributes of an image that are formatted as times in UTC; null if unknown."""


def image_list_document(image_list: ImageList) -> Document:
    """Return the response body of ``/api/images``."""
    query = image_list.query
    return {
        "time": format_utc(image_list.now.wall),
        "shard": {"index": image_list.shard.index, "total": image_list.shard.total},
        "total": image_list.total,
        "matching": image_list.matching,
        "page": query.page,
        "pages": image_list.pages,
        "limit": query.limit,
        "images": [image_document(row) for row in image_list.rows],
        "clouds": [cloud_document(cloud) for cloud in image_list.clouds],
    }


def image_document(status: ImageStatus) -> Document:
    """Return one image with its status: the form that the API and ``check`` share.

    Every key is always present. Unknown values are null, an empty list or an empty object.
    """
    target, observation, image = status.target, status.observation, status.observation.image
    return {
        "cloud": target.cloud,
        "image": target.alias,
        "image_id": target.image_id,
        "source": target.source,
        "labels": dict(target.operator_labels),
        "state": status.state,
        "since": _format_instant(observation.state_since),
        "problems": list(status.problems),
        "exists": observation.exists,
        **{name: getattr(image, name, None) for name in IMAGE_ATTRIBUTES},
        **{name: _format_time(getattr(image, name, None)) for name in IMAGE_TIMES},
        "digests": dict(image.digests) if image else {},
        "properties": dict(target.select_properties(image.properties)) if image else {},
        "expectations": [check_result_document(result) for result in status.check_results],
        "last_change": _last_change(status),
        "last_poll": _last_poll(status),
        "last_answer_at": _format_instant(observation.last_success_at),
        "gone_evidence": _gone_evidence(observation),
    }


def image_details_document(details: ImageDetails) -> Document:
    """Return the response body of ``/api/images/{cloud}/{image_id}``."""
    image = details.status.observation.image
    return {
        "time": format_utc(details.now.wall),
        **image_document(details.status),
        "properties": dict(image.properties) if image else {},
        "tags": list(image.tags) if image else [],
        "stores": list(image.stores) if image else [],
        "evidence": _evidence(details),
        "changes": [
            {
                "at": _format_instant(event.at),
                "changes": [change._asdict() for change in event.changes],
                "request_id": event.request_id or None,
            }
            for event in details.changes
        ],
        "series": list(details.series),
        "queries": [snippet._asdict() for snippet in details.queries],
        "commands": [snippet._asdict() for snippet in details.commands],
    }


NOT_WATCHED: Document = {"error": "no image with this cloud and ID is watched"}
"""The response body for an image that is not watched."""


def check_result_document(result: CheckResult) -> Document:
    """Return one expectation with the actual value; ``met`` is null if it cannot be verified."""
    return {
        "expectation": result.expectation,
        "expected": to_json(result.expected),
        "actual": to_json(result.actual),
        "met": result.met,
    }


def cloud_document(cloud: CloudSummary) -> Document:
    """Return one cloud."""
    state = cloud.state
    discovery = {
        "last_success_at": _format_time(state.discovered_at),
        "failure": _failure(state.discovery_failure),
        "images": cloud.discovered_images,
        "aliases": {**dict.fromkeys(unresolved(state)), **state.resolved},
    }
    return {
        "name": state.name,
        "images": cloud.images,
        "images_with_problems": cloud.images_with_problems,
        "images_with_cut_labels": state.cut_images,
        "troubles": list(cloud.problems),
        "api_up": state.api_up,
        "api_version": state.api_version,
        "capabilities": state.capabilities,
        "breaker_open": state.breaker_open,
        "mass_disappearance": state.mass_disappearance,
        "contradictions": state.contradictions,
        "last_contradiction_at": _format_time(state.contradicted_at),
        "interval_seconds": state.interval,
        "last_cycle_at": _format_time(state.last_cycle_at),
        "last_cycle_seconds": state.last_cycle_duration,
        "next_cycle_at": _format_time(state.next_cycle_at),
        "cycles_skipped": state.cycles_skipped,
        "sign_in": {
            "token_expires_at": _format_time(state.token_expires_at),
            "authentications": state.authentications,
            "failures": state.authentication_failures,
            "failure": None
            if state.auth_failure is None
            else f"{state.auth_failure.reason}: {state.auth_failure.detail}",
        },
        "discovery": None if state.discovery_interval is None else discovery,
    }


def query_error_document(error: QueryError) -> Document:
    """Return the response body for invalid parameters."""
    return {
        "error": str(error),
        "parameters": [
            {"name": name, "value": value, "accepted": accepted}
            for name, value, accepted in error.reported
        ],
    }


def to_ascii_json(document: Document) -> str:
    """Return the document as JSON in ASCII, so that no character can control a terminal."""
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _evidence(details: ImageDetails) -> Document:
    """Return the evidence for the state. ``gone_evidence`` has the details of a 404."""
    observation = details.status.observation
    expires_in = observation.valid_until - details.now.monotonic
    return {
        "summary": basis(details.status),
        "at": _format_instant(observation.last_success_at),
        "request_id": observation.last_success_request_id or None,
        "values_expire_at": None
        if isinf(expires_in)
        else format_utc(details.now.wall + expires_in),
    }


def _last_change(status: ImageStatus) -> Document | None:
    observation = status.observation
    if observation.changed_at is None:
        return None
    changes = [
        {"what": change.what, "old": change.old, "new": change.new}
        for change in observation.last_changes
    ]
    return {"at": _format_instant(observation.changed_at), "changes": changes}


def _last_poll(status: ImageStatus) -> Document | None:
    observation = status.observation
    if observation.polled_at is None:
        return None
    return {
        "at": _format_instant(observation.polled_at),
        "success": observation.poll_success,
        "failure": _failure(observation.failure),
        "request_id": observation.request_id or None,
    }


def _gone_evidence(observation: Observation) -> Document | None:
    evidence = observation.gone_evidence
    if evidence is None:
        return None
    return {
        "first_404_at": _format_time(observation.first_404_at),
        "rechecks": evidence.rechecks,
        "probes": evidence.probes,
        "controls": list(evidence.controls),
        "connections": list(evidence.connections),
        "request_ids": list(evidence.request_ids),
        "cycles": evidence.cycles,
    }


def _failure(failed: Failed | None) -> Document | None:
    return None if failed is None else {"reason": failed.reason, "detail": failed.detail}


def _format_instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_utc(instant.wall)


def _format_time(timestamp: float | None) -> str | None:
    return None if timestamp is None else format_utc(timestamp)
