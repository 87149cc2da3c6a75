import logging

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics import image_group
from exporter.metrics.exposition import Exposition
from exporter.metrics.image_group import ImageGroup
from exporter.metrics.render_thread import rendering_in_background
from exporter.metrics.sample_lines import render_samples
from exporter.model.cloud import CloudState
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Gone
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock
from tests.support.wait import wait_until

TARGET = Target("lab", "one", "one")


def example_exposition() -> tuple[Store, Exposition]:
    """Return a store with one target, and its exposition."""
    store = Store()
    store.add_cloud(CloudState("lab", 60.0), [TARGET])
    return store, Exposition(store, CollectorRegistry(), FakeClock())


def test_changed_image_is_rendered_without_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def render(*arguments: object) -> list[str]:
        texts = render_samples(*arguments)  # type: ignore[arg-type]  # passed on
        rendered.append(len(texts))
        return texts

    monkeypatch.setattr(image_group, "render_samples", render)
    store, exposition = example_exposition()
    with rendering_in_background(exposition):
        wait_until(lambda: rendered)
        rendered.clear()
        outcome = store.observation(TARGET.key).with_outcome(Gone(), FakeClock()(), 100.0)
        store.observe(TARGET.key, outcome)
        wait_until(lambda: len(rendered) == 4)
    rendered.clear()
    assert b'openstack_image_exists{cloud="lab",image="one",image_id="one"} 0.0' in b"".join(
        exposition.body(openmetrics=False, compressed=False)
    )
    assert rendered == []


def test_error_while_rendering_is_logged_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = iter([MemoryError()])
    render = ImageGroup.render
    rendered: list[object] = []

    def fail_once(group: ImageGroup, *arguments: object) -> object:
        for error in errors:
            raise error
        rendered.append(group)
        return render(group, *arguments)  # type: ignore[arg-type]  # passed on

    store, exposition = example_exposition()
    monkeypatch.setattr(ImageGroup, "render", fail_once)
    store.observe(TARGET.key, NEVER_POLLED.with_outcome(Gone(), FakeClock()(), 100.0))
    with caplog.at_level(logging.ERROR), rendering_in_background(exposition):
        wait_until(lambda: rendered)
    assert [record.getMessage() for record in caplog.records] == ["failed to render metrics"]
