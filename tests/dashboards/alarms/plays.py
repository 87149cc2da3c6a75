"""What becomes of each exporter, and when the scenarios of its clouds happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.dashboards.alarms.cloud import Cloud, wait_long
from tests.dashboards.alarms.recorder import Record
from tests.dashboards.alarms.scaled import seconds
from tests.dashboards.alarms.scenario import Story, names
from tests.dashboards.alarms.watcher import Watcher
from tests.dashboards.servers import Prometheus


@dataclass
class Scene:
    """An exporter, the clouds that it watches, and the Prometheus that watches it."""

    watcher: Watcher
    prometheus: Prometheus
    record: Record
    failures: dict[str, str]
    permitted: set[str] = field(default_factory=set)

    def play(self, part: Callable[[Cloud], Story]) -> None:
        """Have this part of the scenario of each cloud happen, all at once."""
        clouds = self.watcher.clouds
        with ThreadPoolExecutor(max(1, len(clouds))) as pool:
            for cloud in clouds:
                pool.submit(self._played, part(cloud), cloud)

    def stories(self) -> None:
        """Have the story of each cloud happen."""
        for cloud in self.watcher.clouds:
            cloud.mark()
        self.play(lambda cloud: cloud.scenario.story)

    def before(self) -> None:
        """Have what is before the story happen in each cloud."""
        self.play(lambda cloud: cloud.scenario.before)

    def down(self) -> bool:
        """Whether people were told that the exporter is down."""
        return bool(self.record.notified(self.watcher.job))

    def _played(self, story: Story, cloud: Cloud) -> None:
        try:
            story(cloud)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is that scenario's result
            self.failures[cloud.name] = f"{type(error).__name__}: {error}"


ATTEMPTS = 10
"""How often something is tried that has to be quick, on a machine that may be slow."""

Play: TypeAlias = "Callable[[Scene], None]"


@dataclass(frozen=True, slots=True)
class Part:
    """What becomes of an exporter, and what people are told of the exporter itself."""

    says: str
    tells: frozenset[str]
    play: Play


PARTS: dict[str, Part] = {}
"""One for each exporter, by its name."""


def part(says: str, *, tells: str = "") -> Callable[[Play], Play]:
    """Make an exporter's part of a play, whose name is the exporter's."""

    def add(play: Play) -> Play:
        PARTS[play.__name__] = Part(says, names(tells), play)
        return play

    return add


@part("an exporter that runs on")
def steady(scene: Scene) -> None:
    """All happens in its clouds."""
    scene.before()
    scene.stories()


@part("an exporter that is restarted at once")
def restarted(scene: Scene) -> None:
    """For less time than it takes to speak of it, unless the machine is slow."""
    scene.before()
    begun = time.monotonic()
    scene.watcher.stop()
    scene.stories()
    scene.watcher.start()
    if time.monotonic() - begun > seconds("4m"):
        scene.permitted.add("ExporterDown")


@part("an exporter that is killed, and started again later", tells="ExporterDown")
def killed(scene: Scene) -> None:
    """It is away until people know."""
    scene.before()
    scene.watcher.kill()
    scene.stories()
    wait_long(scene.down)
    scene.watcher.start()


@part("an exporter that is away for over an hour, and moves", tells="ExporterDown")
def moved(scene: Scene) -> None:
    """When it is back, nothing of the hour before remembers what was."""
    scene.before()
    away_until = time.time() + seconds("1h") + seconds("2m")
    scene.watcher.stop()
    scene.stories()
    wait_long(lambda: time.time() > away_until)
    scene.watcher.move()
    scene.watcher.start()


@part("an exporter whose Prometheus looks away for a moment")
def unseen(scene: Scene) -> None:
    """For less time than twice the longest scrape interval that the rules are made for."""
    scene.before()
    for _ in range(ATTEMPTS):
        begun = time.monotonic()
        scene.prometheus.pause()
        scene.stories()
        scene.prometheus.resume()
        if time.monotonic() - begun < seconds("4m"):
            return


@part("an exporter whose Prometheus is restarted")
def apart(scene: Scene) -> None:
    """What happens in between is not scraped while it does."""
    scene.before()
    scene.prometheus.stop()
    scene.stories()
    scene.prometheus.start()


@part("an exporter that is given other settings, and then bad ones", tells="ReloadFailed")
def reloaded(scene: Scene) -> None:
    """It goes on with the last good ones."""
    scene.before()
    cloud = scene.watcher.clouds[0]
    kept = [each for each in cloud.settings()["images"] if each["alias"] == "golden"]
    scene.watcher.reload({"clouds": [{**cloud.settings(), "images": kept}]})
    scene.stories()
    scene.watcher.reload({"clouds": "none"})
    wait_long(lambda: scene.record.notified(scene.watcher.job))


def play_all(scenes: Sequence[Scene]) -> None:
    """Play every scene at once, each as the part of its exporter says."""
    with ThreadPoolExecutor(len(scenes)) as pool:
        for scene in scenes:
            pool.submit(_played, scene)


def _played(scene: Scene) -> None:
    name = scene.watcher.name
    try:
        PARTS[name].play(scene)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is that exporter's result
        scene.failures[scene.watcher.job] = f"{type(error).__name__}: {error}"
