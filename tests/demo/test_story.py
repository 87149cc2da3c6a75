import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from exporter.demo.story import EVENTS, IMAGES, LOOP_SECONDS, DemoStory
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.simulator.wire import wire

NOW = "2026-11-23T12:00:00"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService(IMAGES.values()) as running:
        yield running


def is_up(service: SimulatedImageService) -> bool:
    """Return True if the API returns an image that no event changes."""
    try:
        with wire(service) as client:
            return b" 200 " in client.ask("HEAD", f"/v1/images/{IMAGES['cirros'].id}")
    except ConnectionRefusedError:
        return False


def images(service: SimulatedImageService) -> dict[str, SimulatedImage]:
    return {image.id: image for image in service.images.all()}


def test_events_are_in_order_within_the_loop_and_name_their_subject() -> None:
    times = [event.at for event in EVENTS]
    assert all(earlier < later for earlier, later in pairwise([0.0, *times, LOOP_SECONDS]))
    for event in EVENTS:
        subject = event.description.partition(":")[0]
        assert subject in IMAGES or subject.startswith("the Image service"), event.description


def test_loop_ends_with_the_initial_images_and_a_working_api(
    service: SimulatedImageService,
) -> None:
    for event in EVENTS:
        event.change(service, NOW)
    assert images(service) == {image.id: image for image in IMAGES.values()}
    assert is_up(service)


def test_event_changes_only_the_image_it_names(service: SimulatedImageService) -> None:
    """Outages change no image."""
    for event in EVENTS:
        before = images(service)
        event.change(service, NOW)
        changed = {image.id for image in service.images.all() if image != before[image.id]}
        subject = IMAGES.get(event.description.partition(":")[0])
        assert changed == ({subject.id} if subject else set()), event.description


def test_api_returns_503_for_20_seconds_and_refuses_connections_for_15(
    service: SimulatedImageService,
) -> None:
    up = True
    down_for = []
    for event, next_event in pairwise(EVENTS):
        event.change(service, NOW)
        if is_up(service) != up:
            up = not up
        if not up:
            down_for.append(next_event.at - event.at)
    assert down_for == [20, 15]


def test_loop_contains_every_kind_of_change(service: SimulatedImageService) -> None:
    """Uploads, deactivation, deletion, publication, lost protection, new content, a kill."""
    changes: list[tuple[SimulatedImage, SimulatedImage]] = []
    for event in EVENTS:
        before = images(service)
        event.change(service, NOW)
        changes += [(before[new.id], new) for new in service.images.all() if new != before[new.id]]
    statuses = {(old.status, new.status) for old, new in changes}
    assert statuses >= {
        ("queued", "saving"),
        ("saving", "active"),
        ("saving", "killed"),
        ("active", "deactivated"),
        ("deactivated", "active"),
        ("active", "deleted"),
        ("deleted", "active"),
    }
    assert {(old.visibility, new.visibility) for old, new in changes} >= {
        ("private", "public"),
        ("public", "private"),
    }
    assert {(old.protected, new.protected) for old, new in changes} >= {
        (True, False),
        (False, True),
    }
    assert any(
        old.status == new.status == "active"
        and old.checksum != new.checksum
        and old.size != new.size
        for old, new in changes
    )


def test_events_happen_on_time_in_every_loop(service: SimulatedImageService) -> None:
    """Two loops and the first event of a third, whose time is set on the image."""
    clock = 0.0
    printed: list[tuple[float, str]] = []
    done = threading.Event()

    def wait(seconds: float) -> bool:
        nonlocal clock
        if len(printed) == 2 * len(EVENTS) + 1:
            done.set()
            return True
        clock += seconds
        return False

    with DemoStory(
        service,
        lambda line: printed.append((clock, line)),
        wait=wait,
        now=lambda: 1_000_000_000 + clock,
    ):
        assert done.wait(30)
    loop = [(event.at, event.description) for event in EVENTS]
    second = [(LOOP_SECONDS + at, description) for at, description in loop]
    third = (2 * LOOP_SECONDS + EVENTS[0].at, EVENTS[0].description)
    assert printed == [*loop, *second, third]
    # 1,000,000,490 seconds of Unix time, when the first event of the third loop happened.
    changed = replace(
        IMAGES["appliance"],
        status="saving",
        size=1_073_741_824,
        updated_at="2001-09-09T01:54:50",
    )
    assert service.images.get(changed.id) == changed


def test_story_that_waits_for_an_event_stops_at_once(service: SimulatedImageService) -> None:
    printed: list[str] = []
    with DemoStory(service, printed.append):
        pass
    assert printed == []


def test_service_can_be_stopped_during_an_outage(service: SimulatedImageService) -> None:
    outage = next(event for event in EVENTS if "refuses" in event.description)
    outage.change(service, NOW)
    assert not is_up(service)
    service.stop()
