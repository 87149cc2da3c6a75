"""Metric families that are left out of the exposition."""

import gzip
import re

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics import image_group, render_cache
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.sample_lines import render_samples
from exporter.metrics.selection.families import EVERYTHING, Selection, family_names
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock

STATUS, SIZE, EXISTS = (f"openstack_image_{name}" for name in ("status", "size_bytes", "exists"))
NO_STATUS = Selection(exclude=(STATUS,))
IDS = ("one", "two", "three")


class Exporter:
    """A store with three polled images, and an exposition whose selection can be changed."""

    def __init__(self, selection: Selection = EVERYTHING) -> None:
        self.selection = selection
        self.clock = FakeClock()
        self.store = Store()
        targets = [Target("lab", image_id, image_id) for image_id in IDS]
        self.store.add_cloud(CloudState("lab", 60.0), targets)
        self.registry: CollectorRegistry = ExporterMetrics("0").registry
        self.registry.register(CloudCollector(self.store))
        for image_id in IDS:
            self.poll(image_id, size_bytes=5)
        self.exposition = Exposition(self.store, self.registry, self.clock, lambda: self.selection)

    def poll(self, image_id: str, size_bytes: int) -> None:
        """Record a poll that finds an image."""
        (target,) = [key for key in self.store.targets() if key.image_id == image_id]
        image = Image("v1", image_id, "active", size_bytes=size_bytes)
        observation = self.store.observation(target)
        self.store.observe(target, observation.with_outcome(Found(image), self.clock(), 100.0))

    def scrape(self, *, openmetrics: bool = False, compressed: bool = False) -> str:
        """Return the metrics, without the exporter's own, which change between two scrapes."""
        body = self.exposition.body(openmetrics=openmetrics, compressed=compressed)
        content = b"".join(body)
        text = (gzip.decompress(content) if compressed else content).decode()
        own = r"(?m)^(# \w+ )?(process|python)_.*\n"
        return re.sub(own, "", text)


def without(text: str, *names: str) -> str:
    """Return the lines that are not about these families."""
    words = tuple(start for name in names for start in (f"{name}{{", f"# HELP {name} "))
    types = tuple(f"# TYPE {name} " for name in names)
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith((*words, *types)))


@pytest.mark.parametrize(
    ("selection", "name", "is_served"),
    [
        (EVERYTHING, STATUS, True),
        (NO_STATUS, STATUS, False),
        (NO_STATUS, "openstack_image_status_changes_total", True),
        (Selection(exclude=("openstack_image_status*",)), f"{STATUS}_changes_total", False),
        (Selection(include=(STATUS,)), STATUS, True),
        (Selection(include=(STATUS,)), EXISTS, False),
        (Selection(include=(STATUS,)), "openstack_image_api_up", False),
        (Selection(include=("openstack_image_*",), exclude=(STATUS,)), STATUS, False),
        (Selection(include=(STATUS,)), "openstack_image_exporter_polls_total", True),
        (Selection(include=(STATUS,)), "process_open_fds", True),
        (Selection(exclude=("python_*",)), "python_info", False),
        (Selection(exclude=("openstack_image_exporter_*",)), f"{STATUS}", True),
        (Selection(exclude=("*",)), "openstack_image_exporter_build_info", False),
        (Selection(exclude=("OPENSTACK_*",)), STATUS, True),
    ],
)
def test_globs_select_families(selection: Selection, name: str, is_served: bool) -> None:
    """Metrics of the exporter itself are served unless they are excluded."""
    assert name in family_names()
    assert selection.has(name) is is_served


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_excluded_family_leaves_nothing_in_a_scrape(openmetrics: bool, compressed: bool) -> None:
    whole = Exporter().scrape(openmetrics=openmetrics)
    text = Exporter(NO_STATUS).scrape(openmetrics=openmetrics, compressed=compressed)
    assert f"{STATUS}{{" in whole
    assert f"{STATUS} " not in text
    assert text == without(whole, STATUS)


def test_families_of_the_exporter_and_of_clouds_can_be_excluded() -> None:
    """Every name in the documents excludes what has that name."""
    exporter = Exporter()
    for name in family_names():
        exporter.selection = Selection(exclude=(name,))
        text = b"".join(exporter.exposition.body(openmetrics=False, compressed=False)).decode()
        assert f"# TYPE {name} " not in text
    exporter.selection = Selection(exclude=("*",))
    assert exporter.scrape() == ""


def test_reload_changes_what_is_served() -> None:
    exporter = Exporter()
    whole = exporter.scrape()
    exporter.selection = Selection(exclude=(STATUS, SIZE))
    assert exporter.scrape() == without(whole, STATUS, SIZE)
    exporter.selection = Selection(exclude=(STATUS,))
    assert exporter.scrape() == without(whole, STATUS)
    exporter.selection = EVERYTHING
    assert exporter.scrape(compressed=True) == whole


def test_change_while_a_family_is_excluded_is_in_it_once_it_is_served_again() -> None:
    exporter = Exporter(Selection(exclude=(SIZE,)))
    exporter.scrape()
    exporter.poll("two", size_bytes=7)
    exporter.scrape()
    exporter.selection = EVERYTHING
    assert f'{SIZE}{{cloud="lab",image="two",image_id="two"}} 7.0' in exporter.scrape()


def test_excluded_family_is_neither_rendered_nor_held(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def render(family: object, *arguments: object) -> list[str]:
        rendered.append(getattr(family, "name", ""))
        return render_samples(family, *arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(image_group, "render_samples", render)
    exporter = Exporter(Selection(include=(SIZE,)))
    exporter.scrape()
    assert rendered == [SIZE]
    exporter.selection = Selection(include=(SIZE, EXISTS))
    exporter.scrape()
    assert rendered == [SIZE, EXISTS]
    exporter.poll("two", size_bytes=7)
    exporter.scrape()
    assert rendered == [SIZE, EXISTS, SIZE]


def test_text_of_a_family_is_dropped_when_it_is_excluded() -> None:
    store = Store()
    targets = [Target("lab", image_id, image_id) for image_id in IDS]
    store.add_cloud(CloudState("lab", 60.0), targets)
    cache = render_cache.RenderCache(store)
    cache.set_targets(store.targets())
    (group,) = cache.dirty_groups()
    cache.render([group], FakeClock()())
    count = len(group.texts)
    cache.set_families(NO_STATUS.image_families())
    assert len(group.texts) == count - 1
    assert cache.dirty_groups() == []
    cache.set_families(EVERYTHING.image_families())
    assert cache.dirty_groups() == [group]
