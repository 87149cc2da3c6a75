import threading
from dataclasses import replace
from itertools import pairwise

import requests

from exporter.auth.token_cache import renewal_margin
from exporter.demo.events import EVENTS, LOOP_SECONDS
from exporter.demo.images import IMAGES
from exporter.demo.services import TOKEN_LIFE, DemoServices
from exporter.demo.story import DemoStory
from exporter.demo.v2_images import V2_IMAGES
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.simulator.wire import wire

NOW = "2026-11-23T12:00:00"
CLOUDS = ("demo", "demo-v2")
DISCOVERED = "ubuntu-latest"
"""An alias that an image which is not there at the start gets."""


def is_up(service: SimulatedImageService) -> bool:
    """Return True if the API returns an image that no event changes."""
    try:
        with wire(service) as client:
            return b" 200 " in client.ask("HEAD", f"/v1/images/{IMAGES['cirros'].id}")
    except ConnectionRefusedError:
        return False


def images(services: DemoServices) -> dict[str, SimulatedImage]:
    everything = (*services.first.images.all(), *services.second.images.all())
    return {image.id: image for image in everything}


def without_time(found: dict[str, SimulatedImage]) -> dict[str, SimulatedImage]:
    return {image_id: replace(image, updated_at=None) for image_id, image in found.items()}


def subject_of(description: str) -> str:
    return description.partition(":")[0].removeprefix("cloud ")


def test_events_are_in_order_within_the_loop_and_name_their_subject() -> None:
    times = [event.at for event in EVENTS]
    assert all(earlier < later for earlier, later in pairwise([0.0, *times, LOOP_SECONDS]))
    subjects = {subject_of(event.description) for event in EVENTS}
    assert subjects <= {*IMAGES, *V2_IMAGES, *CLOUDS, DISCOVERED}


def test_loop_takes_less_than_five_minutes() -> None:
    assert LOOP_SECONDS < 5 * 60


def test_event_is_one_line_that_says_what_to_look_at() -> None:
    for event in EVENTS:
        subject = subject_of(event.description)
        assert event.line == f"{event.description}; see {event.see}"
        assert "\n" not in event.line
        assert f'"{subject}"' in event.see or "expectation" in event.see


def test_loop_ends_with_the_initial_images_and_a_working_api(services: DemoServices) -> None:
    for event in EVENTS:
        event.change(services, NOW)
    initial = {image.id: image for image in (*IMAGES.values(), *V2_IMAGES.values())}
    assert without_time(images(services)) == without_time(initial)
    assert is_up(services.first)


def test_event_changes_only_the_image_it_names(services: DemoServices) -> None:
    """Outages change no image."""
    aliases = {image.id: alias for alias, image in (*IMAGES.items(), *V2_IMAGES.items())}
    for event in EVENTS:
        before = images(services)
        event.change(services, NOW)
        after = images(services)
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        subject = subject_of(event.description)
        named = set() if subject in CLOUDS else {subject}
        assert {aliases.get(key, DISCOVERED) for key in changed} == named, event.description


def test_api_returns_503_for_20_seconds_and_refuses_connections_for_15(
    services: DemoServices,
) -> None:
    up = True
    down_for = []
    down_since = 0.0
    for event in EVENTS:
        event.change(services, NOW)
        if is_up(services.first) == up:
            continue
        up = not up
        if up:
            down_for.append(event.at - down_since)
        down_since = event.at
    assert down_for == [20, 15]


def test_loop_contains_every_kind_of_change(services: DemoServices) -> None:
    """Uploads, deactivation, deletion, publication, lost protection, new content, a kill."""
    changes: list[tuple[SimulatedImage | None, SimulatedImage | None]] = []
    for event in EVENTS:
        before = images(services)
        event.change(services, NOW)
        after = images(services)
        keys = {key for key in before | after if before.get(key) != after.get(key)}
        changes += [(before.get(key), after.get(key)) for key in keys]
    both = [(old, new) for old, new in changes if old and new]
    assert {(old.status, new.status) for old, new in both} >= {
        ("queued", "saving"),
        ("saving", "active"),
        ("saving", "killed"),
        ("active", "deactivated"),
        ("deactivated", "active"),
    }
    assert {(old.visibility, new.visibility) for old, new in both} >= {
        ("private", "public"),
        ("public", "private"),
        ("community", "public"),
    }
    flags = {(True, False), (False, True)}
    assert {(old.protected, new.protected) for old, new in both} >= flags
    assert {(old.hidden, new.hidden) for old, new in both} >= flags
    assert {(old is None, new is None) for old, new in changes} >= flags
    assert any(
        old.status == new.status == "active"
        and old.checksum != new.checksum
        and old.size != new.size
        for old, new in both
    )


def test_events_happen_on_time_in_every_loop(services: DemoServices) -> None:
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
        services,
        lambda line: printed.append((clock, line)),
        wait=wait,
        now=lambda: 1_000_000_000 + clock,
    ):
        assert done.wait(30)
    loop = [(event.at, event.line) for event in EVENTS]
    second = [(LOOP_SECONDS + at, line) for at, line in loop]
    third = (2 * LOOP_SECONDS + EVENTS[0].at, EVENTS[0].line)
    assert printed == [*loop, *second, third]
    # 1,000,000,490 seconds of Unix time, when the first event of the third loop happened.
    changed = replace(
        IMAGES["appliance"],
        status="saving",
        size=1_073_741_824,
        updated_at="2001-09-09T01:54:50",
    )
    assert services.first.images.get(changed.id) == changed


def test_story_that_waits_for_an_event_stops_at_once(services: DemoServices) -> None:
    printed: list[str] = []
    with DemoStory(services, printed.append):
        pass
    assert printed == []


def test_service_can_be_stopped_during_an_outage(services: DemoServices) -> None:
    outage = next(event for event in EVENTS if "refuses" in event.description)
    outage.change(services, NOW)
    assert not is_up(services.first)
    services.first.stop()


def test_second_service_requires_a_token_of_the_keystone(services: DemoServices) -> None:
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(f"{services.second.url}/v2/images", timeout=30)
    assert response.status_code == 401


def test_token_is_renewed_in_every_loop_and_no_alert_takes_it_for_expiring() -> None:
    """The alert fires if less than 60 seconds are left for more than 60 seconds."""
    margin = renewal_margin(TOKEN_LIFE)
    assert TOKEN_LIFE - margin < LOOP_SECONDS
    assert 60 - margin < 60 / 2
