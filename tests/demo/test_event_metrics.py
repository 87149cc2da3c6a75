"""The whole loop, polled without waiting: each event changes the metric that its line names."""

import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from exporter.app import build_application, build_exposition
from exporter.commands.demo import added_settings, demo_settings, use_own_clouds_yaml
from exporter.config import parse, resolved_clouds
from exporter.demo.events import EVENTS
from exporter.demo.services import running_services
from exporter.metrics.exposition import Exposition
from exporter.model.changes import CHANGE_KINDS
from exporter.polling.engine import pacing
from exporter.polling.poller import Poller
from tests.readme_tables import PREFIX
from tests.support.documents import section, table_names

NOW = "2026-11-23T12:00:00"
WITHOUT_CHANGE = "cloud demo: all API servers agree again, and contradictions are no longer counted"
LAST_CHANGE = "openstack_image_last_change_timestamp_seconds"
MOST_CYCLES = 4
"""Cycles after which an event is on /metrics. A deletion needs two if servers disagree."""

Series = Mapping[str, str]
"""The value of each series, by its name and labels as they are written."""


@dataclass
class PlayedLoop:
    """One loop: the series at the start, and those that each event's line selects afterwards.

    Attributes:
        end: All series after the last event.
    """

    start: Series
    end: Series = field(default_factory=dict)
    before: dict[str, Series] = field(default_factory=dict)
    after: dict[str, Series] = field(default_factory=dict)


@pytest.fixture(scope="module")
def loop() -> Iterator[PlayedLoop]:
    """Play all events; no request waits before it is sent again."""
    with (
        pytest.MonkeyPatch.context() as patch,
        running_services() as services,
    ):
        patch.setattr(os, "environ", os.environ.copy())
        patch.setattr(random, "random", lambda: 0.0)
        patch.setattr(pacing, "SPREAD_FRACTION", 1e-3)
        settings = parse(["demo", "--interval=30s"], {}).settings
        added = added_settings(settings, services, use_own_clouds_yaml(services))
        application = build_application(resolved_clouds(demo_settings(settings, added)))
        exposition = build_exposition(application)
        for poller in application.pollers:
            poll(poller)
        series = scrape(exposition)
        played = PlayedLoop(series)
        for event in EVENTS:
            before = played.before[event.line] = selected(series, event.see)
            event.change(services, NOW)
            for poller in application.pollers * MOST_CYCLES:
                poll(poller)
                series = scrape(exposition)
                played.after[event.line] = selected(series, event.see)
                if played.after[event.line] != before:
                    break
        played.end = series
        yield played
        application.close()


def poll(poller: Poller) -> None:
    """List the images of a cloud, and poll each image once."""
    poller.discover(poller.pacing.interval)
    poller.run_cycle()


def scrape(exposition: Exposition) -> Series:
    """Return all series."""
    text = b"".join(exposition.body(openmetrics=False, compressed=False)).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series: value for series, _, value in lines}


def selected(series: Series, selector: str) -> Series:
    """Return the series that a selector with one label selects."""
    name, label = selector.removesuffix("}").split("{")
    return {
        key: value for key, value in series.items() if key.startswith(f"{name}{{") and label in key
    }


def test_every_event_changes_the_metric_that_its_line_names(loop: PlayedLoop) -> None:
    unchanged = [event for event in EVENTS if loop.before[event.line] == loop.after[event.line]]
    assert [event.description for event in unchanged] == [WITHOUT_CHANGE]
    assert all(loop.after.values())


def names(series: Series) -> set[str]:
    """Return the names of the exporter's metrics."""
    every = {re.sub(r"(_bucket|_count|_sum)?(\{.*)?$", "", each) for each in series}
    return {name for name in every if name.startswith(PREFIX)}


def test_demo_has_every_metric_from_its_first_poll(loop: PlayedLoop) -> None:
    """All of its metrics are in the tables, and all in the tables are in the demo."""
    assert names(loop.start) | {LAST_CHANGE} == table_names(section("METRICS.md", "All metrics"))


def test_demo_has_every_kind_of_change(loop: PlayedLoop) -> None:
    """A time exists after the first change of its kind."""
    assert LAST_CHANGE not in names(loop.start)
    kinds = {
        kind for each in loop.end for kind in re.findall(f'{LAST_CHANGE}.*change="(.*?)"', each)
    }
    assert kinds == set(CHANGE_KINDS)
