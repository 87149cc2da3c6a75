"""The values of all metrics of an image during its lifecycle, of which METRICS.md has a table.

The values are real: the exporter polls a simulated service by API v2 once after every step.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache

from exporter.app import Application, build_application
from exporter.clock import now
from exporter.config import parse, resolved_clouds
from exporter.metrics.family import Family
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.metrics.images.view import ImageView, view_of
from exporter.simulator import SimulatedImage, SimulatedImageService

IMAGE_ID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
OLD = "826ad52d67c55b1f07cabe148b8146ac"
NEW = "0123456789abcdef0123456789abcdef"

EXPECT = {"exists": True, "status": "active", "protected": True, "checksum": OLD}
"""The expectations of the image during all steps."""

PROPERTIES = {
    "image_build_date": "2026-11-20",
    "replace_frequency": "monthly",
    "provided_until": "2027-11-30",
    "uuid_validity": "2028-11-30",
}
"""The properties that its publisher sets."""

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


def _do_nothing(_: SimulatedImageService) -> None:
    """Change nothing, before the first poll."""


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
    "The image is configured but not polled yet.": _do_nothing,
    "It is created: queued, without data.": _create,
    "Its data is being uploaded.": _change("10:01", status="saving"),
    "The upload is finished: active, with a size and digests.": _change(
        "10:05", status="active", size=2 * 2**30, virtual_size=20 * 2**30, checksum=OLD
    ),
    "It is protected and published, with properties about its planned lifetime.": _change(
        "10:06", protected=True, visibility="public", properties=PROPERTIES
    ),
    "Its data is replaced under the same ID.": _change("11:00", size=3 * 2**30, checksum=NEW),
    "It is deactivated.": _change("12:00", status="deactivated"),
    "The service refuses every request (403): the last values stay.": _refuse,
    "It is deleted: a confirmed 404.": _delete,
}
"""The steps: their descriptions and what they change."""


ADMINISTRATOR_STEP = (
    "The deleted image as polled by an exporter that has just started, with an administrator's "
    "credentials and by API v1, which shows deleted images to administrators."
)
"""The last column; API v2 never shows deleted images."""


@cache
def lifecycle_rows() -> tuple[tuple[str, ...], ...]:
    """Return a row for each metric of images: its name, and its values after each step."""
    # The log lines of the exporter would mix with the output of `make readme`.
    logging.disable()
    try:
        with SimulatedImageService() as service:
            columns = [*_columns(service), _administrator_column(service)]
    finally:
        logging.disable(logging.NOTSET)
    return tuple(
        (family.name, *(_cell(family, view) for view in columns)) for family in IMAGE_FAMILIES
    )


def steps() -> tuple[str, ...]:
    """Return the descriptions of the steps, in the order of the columns."""
    return (*STEPS, ADMINISTRATOR_STEP)


def _columns(service: SimulatedImageService) -> Iterator[ImageView]:
    with closing(_application(service, "v2")) as application:
        for number, change in enumerate(STEPS.values()):
            change(service)
            yield _view(application, polls=number > 0)


def _administrator_column(service: SimulatedImageService) -> ImageView:
    service.api.admin = True
    with closing(_application(service, "v1")) as application:
        return _view(application, polls=True)


def _application(service: SimulatedImageService, api: str) -> Application:
    cloud = {
        "name": "lab",
        "api": api,
        "endpoint": service.url,
        "properties": list(PROPERTIES),
        "images": [{"id": IMAGE_ID, "alias": "golden", "expect": EXPECT}],
    }
    environ = {"IMAGE_EXPORTER_CLOUDS": json.dumps([cloud])}
    return build_application(resolved_clouds(parse(["check"], environ).settings))


def _view(application: Application, *, polls: bool) -> ImageView:
    (poller,) = application.pollers
    if polls:
        poller.run_cycle()
    ((target, observation),) = application.store.observations()
    return view_of(target, observation, now())


def _cell(family: Family[ImageView], view: ImageView) -> str:
    """Return the samples in short form: a value, or the labels of the samples that are not 0."""
    samples = family.samples(view)
    if not family.labels:
        return "".join(f"{value:.0f}" for value in samples.values())
    if family.name == "openstack_image_expectation_met":
        return ", ".join(f"{label}: {value:.0f}" for (label,), value in samples.items())
    if family.kind == "counter":
        return ", ".join(
            f"{label}: {value:.0f}" for (label,), value in samples.items() if value
        ) or ("0" if samples else "")
    return ", ".join(_labels(labels) for labels, value in samples.items() if value)


def _labels(labels: tuple[str, ...]) -> str:
    """Return the labels that are not empty; digests are shortened."""
    return " ".join(text if len(text) <= 32 else f"{text[:8]}…" for text in labels if text)
