import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from exporter.demo.story import IMAGES, LOOP_SECONDS, SCENES, Storyteller
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.simulator.wire import wire

NOW = "2026-11-23T12:00:00"


@pytest.fixture
def stage() -> Iterator[SimulatedImageService]:
    """A service with the story's images."""
    with SimulatedImageService(IMAGES.values()) as service:
        yield service


def answers(service: SimulatedImageService) -> bool:
    """Whether the API answers for an image that the story leaves alone."""
    try:
        with wire(service) as client:
            return b" 200 " in client.ask("HEAD", f"/v1/images/{IMAGES['cirros'].id}")
    except ConnectionRefusedError:
        return False


def test_scenes_are_in_order_within_the_loop() -> None:
    """Scenes follow each other in time, each in words that begin with what changes."""
    times = [scene.at for scene in SCENES]
    assert all(earlier < later for earlier, later in pairwise([0.0, *times, LOOP_SECONDS]))
    for scene in SCENES:
        subject = scene.says.partition(":")[0]
        assert subject in IMAGES or subject.startswith("the Image service"), scene.says


def test_loop_ends_as_it_began(stage: SimulatedImageService) -> None:
    """After a loop every image is what it was and the API answers."""
    for scene in SCENES:
        scene.change(stage, NOW)
    assert {image.id: image for image in stage.images.all()} == {
        image.id: image for image in IMAGES.values()
    }
    assert answers(stage)


def test_every_scene_but_outages_changes_one_image(stage: SimulatedImageService) -> None:
    """A scene changes the image it names and no other; outages change none."""
    for scene in SCENES:
        before = {image.id: image for image in stage.images.all()}
        scene.change(stage, NOW)
        changed = {image.id for image in stage.images.all() if image != before[image.id]}
        named = IMAGES.get(scene.says.partition(":")[0])
        assert changed == ({named.id} if named else set()), scene.says


def test_outages_last_as_told(stage: SimulatedImageService) -> None:
    """The API is down for 20 seconds with 503 and refuses for 15, and up otherwise."""
    up = True
    down_for = []
    for scene, following in pairwise(SCENES):
        scene.change(stage, NOW)
        if answers(stage) != up:
            up = not up
        if not up:
            down_for.append(following.at - scene.at)
    assert down_for == [20, 15]


def test_a_loop_has_all_that_can_happen(stage: SimulatedImageService) -> None:
    """Uploads, deactivation, deletion, publicity, lost protection, new content, a kill."""
    seen: list[tuple[SimulatedImage, SimulatedImage]] = []
    for scene in SCENES:
        before = {image.id: image for image in stage.images.all()}
        scene.change(stage, NOW)
        seen += [(before[new.id], new) for new in stage.images.all() if new != before[new.id]]
    statuses = {(old.status, new.status) for old, new in seen}
    assert statuses >= {
        ("queued", "saving"),
        ("saving", "active"),
        ("saving", "killed"),
        ("active", "deactivated"),
        ("deactivated", "active"),
        ("active", "deleted"),
        ("deleted", "active"),
    }
    assert {(old.visibility, new.visibility) for old, new in seen} >= {
        ("private", "public"),
        ("public", "private"),
    }
    assert {(old.protected, new.protected) for old, new in seen} >= {(True, False), (False, True)}
    assert any(
        old.status == new.status == "active"
        and old.checksum != new.checksum
        and old.size != new.size
        for old, new in seen
    )


def test_storyteller_plays_on_time_and_in_loops(stage: SimulatedImageService) -> None:
    """Two loops and a scene are told, each at its second, with the time on the image."""
    clock = 0.0
    told: list[tuple[float, str]] = []
    done = threading.Event()

    def wait(seconds: float) -> bool:
        nonlocal clock
        if len(told) == 2 * len(SCENES) + 1:
            done.set()
            return True
        clock += seconds
        return False

    with Storyteller(
        stage,
        lambda says: told.append((clock, says)),
        wait=wait,
        now=lambda: 1_000_000_000 + clock,
    ):
        assert done.wait(30)
    loop = [(scene.at, scene.says) for scene in SCENES]
    second = [(LOOP_SECONDS + at, says) for at, says in loop]
    third = (2 * LOOP_SECONDS + SCENES[0].at, SCENES[0].says)
    assert told == [*loop, *second, third]
    # 1,000,000,490 seconds of Unix time, which is when the third loop's first scene was.
    changed = replace(
        IMAGES["appliance"],
        status="saving",
        size=1_073_741_824,
        updated_at="2001-09-09T01:54:50",
    )
    assert stage.images.get(changed.id) == changed


def test_storyteller_stops_at_once(stage: SimulatedImageService) -> None:
    """A story that waits for its next scene ends when it is told to."""
    told: list[str] = []
    with Storyteller(stage, told.append):
        pass
    assert told == []


def test_story_can_end_within_an_outage(stage: SimulatedImageService) -> None:
    """When the story ends while the service refuses connections, stopping it is harmless."""
    refusing = next(scene for scene in SCENES if "refuses" in scene.says)
    refusing.change(stage, NOW)
    assert not answers(stage)
    stage.stop()
