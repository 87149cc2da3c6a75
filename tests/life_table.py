"""The life of one image, from upload to deletion: what each metric says at each step.

It is lived: a simulated service answers through API v2, the exporter's own parts poll it once at
each step, and the cells are what the families then have for the image.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache

from exporter.app import Application, build_application
from exporter.clock import now
from exporter.config import parse, resolved_clouds
from exporter.metrics.family import Family, Point
from exporter.metrics.image_metrics import IMAGE_FAMILIES, ImageView, view_of
from exporter.simulator import SimulatedImage, SimulatedImageService

IMAGE_ID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
OLD = "826ad52d67c55b1f07cabe148b8146ac"
NEW = "0123456789abcdef0123456789abcdef"

EXPECT = {"exists": True, "status": "active", "protected": True, "checksum": OLD}
"""What is expected of it all the time."""

PROPERTIES = {
    "image_build_date": "2026-11-20",
    "replace_frequency": "monthly",
    "provided_until": "2027-11-30",
    "uuid_validity": "2028-11-30",
}
"""What its publisher says of it."""

CREATED = SimulatedImage(
    IMAGE_ID,
    name="golden",
    status="queued",
    size=None,
    checksum=None,
    disk_format="qcow2",
    container_format="bare",
    min_disk=20,
    min_ram=1024,
    created_at="2026-11-23T10:00:00",
    updated_at="2026-11-23T10:00:00",
)


def _nothing(_: SimulatedImageService) -> None:
    """Before the first poll."""


def _create(service: SimulatedImageService) -> None:
    service.images.put(CREATED)


def _change(at: str, **fields: object) -> Callable[[SimulatedImageService], None]:
    def change(service: SimulatedImageService) -> None:
        service.images.change(IMAGE_ID, updated_at=f"2026-11-23T{at}:00", **fields)

    return change


def _refuse(service: SimulatedImageService) -> None:
    service.faults.set("status", code=403)


def _delete(service: SimulatedImageService) -> None:
    service.faults.clear()
    service.images.delete(IMAGE_ID, at="2026-11-23T13:00:00")


STEPS: dict[str, Callable[[SimulatedImageService], None]] = {
    "It is on the list, and was not polled yet.": _nothing,
    "It is created: queued, without data.": _create,
    "Its data is being uploaded.": _change("10:01", status="saving"),
    "It is there: active, with a size and digests.": _change(
        "10:05", status="active", size=2 * 2**30, virtual_size=20 * 2**30, checksum=OLD
    ),
    "It is protected and published, with properties that say how long it is good for.": _change(
        "10:06", protected=True, visibility="public", properties=PROPERTIES
    ),
    "Its data is swapped under the same ID.": _change("11:00", size=3 * 2**30, checksum=NEW),
    "It is deactivated.": _change("12:00", status="deactivated"),
    "The service refuses every question (403): what is known stays.": _refuse,
    "It is deleted; 404, and it is proved.": _delete,
}
"""What happens, and how."""


TO_AN_ADMINISTRATOR = (
    "The same, as an exporter sees it that has just started, with an administrator's credentials "
    "and through API v1, which shows them deleted images."
)
"""What v2 does not show to anybody."""


@cache
def lived() -> tuple[tuple[str, ...], ...]:
    """A row for each metric of an image: its name, and what it says after each step."""
    # What the exporter logs is not of interest to whoever makes the table.
    logging.disable()
    try:
        with SimulatedImageService() as service:
            columns = [*_columns(service), _to_an_administrator(service)]
    finally:
        logging.disable(logging.NOTSET)
    return tuple(
        (family.name, *(_said(family, view) for view in columns)) for family in IMAGE_FAMILIES
    )


def steps() -> tuple[str, ...]:
    """What happens, in the order of the columns."""
    return (*STEPS, TO_AN_ADMINISTRATOR)


def _columns(service: SimulatedImageService) -> Iterator[ImageView]:
    with closing(_parts(service, "v2")) as parts:
        for place, happen in enumerate(STEPS.values()):
            happen(service)
            yield _view(parts, polls=place > 0)


def _to_an_administrator(service: SimulatedImageService) -> ImageView:
    service.api.admin = True
    with closing(_parts(service, "v1")) as parts:
        return _view(parts, polls=True)


def _parts(service: SimulatedImageService, api: str) -> Application:
    cloud = {
        "name": "lab",
        "api": api,
        "endpoint": service.url,
        "properties": list(PROPERTIES),
        "images": [{"id": IMAGE_ID, "alias": "golden", "expect": EXPECT}],
    }
    environ = {"IMAGE_EXPORTER_CLOUDS": json.dumps([cloud])}
    return build_application(resolved_clouds(parse(["check"], environ).settings))


def _view(parts: Application, *, polls: bool) -> ImageView:
    (poller,) = parts.pollers
    if polls:
        poller.run_cycle()
    ((target, observation),) = parts.store.observations()
    return view_of(target, observation, now())


def _said(family: Family[ImageView], view: ImageView) -> str:
    """The samples in a few words: labels and values, of the values 0 and 1 as little as will do."""
    points = list(family.points(view))
    if not family.labels:
        return "".join(f"{value:.0f}" for _, value in points)
    if family.name == "openstack_image_expectation_met":
        return ", ".join(f"{label}: {value:.0f}" for (label,), value in points)
    if family.kind == "counter":
        return ", ".join(f"{label}: {value:.0f}" for (label,), value in points if value) or _zero(
            points
        )
    return ", ".join(_labels(labels) for labels, value in points if value)


def _zero(points: Iterable[Point]) -> str:
    return "0" if list(points) else ""


def _labels(labels: tuple[str, ...]) -> str:
    """The labels that are not empty; of a digest, the beginning."""
    return " ".join(text if len(text) <= 32 else f"{text[:8]}…" for text in labels if text)
