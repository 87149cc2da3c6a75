"""Images and metrics that are rendered again: only those that have changed."""

from collections.abc import Callable, Collection

import pytest

from exporter.metrics import image_group, render_cache
from exporter.metrics.family import Family
from exporter.metrics.images.view import ImageView
from exporter.metrics.sample_lines import SubjectLabels, render_samples
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target
from tests.metrics.exposition.watched_cloud import IDS, MAX_STALE, WatchedCloud

RenderSamples = Callable[[Family[ImageView], SubjectLabels, Collection[ImageView]], list[str]]


def counting(counts: list[int]) -> RenderSamples:
    """Return a ``render_samples`` that appends the number of rendered targets to a list."""

    def render(
        family: Family[ImageView], labels: SubjectLabels, views: Collection[ImageView]
    ) -> list[str]:
        counts.append(len(views))
        return render_samples(family, labels, views)

    return render


def test_only_expired_images_are_rendered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = WatchedCloud((("max_age", 1e6),))
    watched.poll(0, Found(Image("v1", "one", "active", created_at=watched.clock().wall)))
    watched.clock.advance(MAX_STALE / 2)
    for index in (1, 2):
        image = Image("v1", IDS[index], "active", created_at=watched.clock().wall)
        watched.poll(index, Found(image))
    watched.scrape(False)
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    watched.clock.advance(MAX_STALE / 2 + 1)
    assert watched.scrape(False) == watched.expected(False)
    assert set(rendered) == {1}
    rendered.clear()
    watched.clock.advance(MAX_STALE)
    assert watched.scrape(False) == watched.expected(False)
    assert set(rendered) == {2}


def test_only_changed_images_are_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedCloud()
    for index, image_id in enumerate(IDS):
        watched.poll(index, Found(Image("v1", image_id, "active")))
    watched.scrape(False)
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    watched.counter.inc()
    for index, image_id in enumerate(IDS):
        # The same image again: a poll without a change.
        watched.poll(index, Found(Image("v1", image_id, "active")))
    before = list(watched.exposition.body(openmetrics=False, compressed=True))
    assert rendered == []
    watched.poll(1, Found(Image("v1", "two", "deactivated")))
    after = list(watched.exposition.body(openmetrics=False, compressed=True))
    assert rendered
    assert set(rendered) == {1}
    assert before[1] is after[1]


def test_failed_poll_renders_only_the_result_of_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedCloud()
    for index, image_id in enumerate(IDS):
        watched.poll(index, Found(Image("v1", image_id, "active")))
    watched.scrape(False)
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    for index in range(len(IDS)):
        watched.poll(index, Failed("timeout"))
    assert watched.scrape(False) == watched.expected(False)
    assert rendered == [len(IDS)]


def test_clock_step_renders_only_expectations(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedCloud((("max_age", 50.0),))
    for index, image_id in enumerate(IDS):
        image = Image("v1", image_id, "active", created_at=watched.clock().wall)
        watched.poll(index, Found(image))
    watched.scrape(False)
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    watched.clock.set_wall(1000.0)
    assert watched.scrape(False) == watched.expected(False)
    assert rendered == [len(IDS)]


def test_images_rendered_in_advance_are_not_rendered_by_a_scrape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(render_cache, "TARGETS_PER_GROUP", 2)
    watched = WatchedCloud()
    for index in (0, 2):
        watched.poll(index, Found(Image("v1", IDS[index], "active")))
    assert watched.exposition.render_group() is True
    assert watched.exposition.render_group() is False
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    assert watched.scrape(False) == watched.expected(False)
    assert rendered == []
    watched.poll(2, Gone())
    assert watched.scrape(False) == watched.expected(False)
    assert set(rendered) == {1}


def test_images_at_the_start_are_not_rendered_by_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, rendered = WatchedCloud(), list[int]()
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    watched.scrape(openmetrics=False)
    assert rendered == []


def test_new_target_leaves_complete_groups_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_cache, "TARGETS_PER_GROUP", 2)
    watched = WatchedCloud()
    watched.scrape(False)
    rendered: list[int] = []
    monkeypatch.setattr(image_group, "render_samples", counting(rendered))
    watched.targets.append(Target("lab", "four", "alias four"))
    watched.store.set_targets("lab", watched.targets)
    assert watched.scrape(False) == watched.expected(False)
    assert set(rendered) == {1}
    rendered.clear()
    watched.targets[1] = Target("lab", "two", "renamed")
    watched.store.set_targets("lab", watched.targets)
    assert watched.scrape(False) == watched.expected(False)
    assert set(rendered) == {2}
