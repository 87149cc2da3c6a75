"""The exposition of some clouds compared with the lines of these clouds in the whole one."""

import gzip
import re

import pytest

from exporter.metrics import render_cache
from exporter.metrics.exposition import UnknownCloudError
from exporter.model.image import Image
from exporter.model.outcome import Found, Gone
from tests.metrics.exposition.watched_cloud import WatchedCloud

CLOUD = re.compile(r'[{,]cloud="([^"]*)"')
FIRST, SECOND, THIRD = "lab", "cloud 1", "cloud 2"


def expected(watched: WatchedCloud, clouds: list[str], openmetrics: bool) -> str:
    """Return what prometheus_client renders, without the samples of other clouds."""
    lines = watched.expected(openmetrics).decode().splitlines(keepends=True)
    return "".join(
        line
        for line in lines
        if line.startswith("#") or (found := CLOUD.search(line)) is None or found[1] in clouds
    )


def scraped(
    watched: WatchedCloud, clouds: list[str], openmetrics: bool, compressed: bool = False
) -> str:
    """Return the decompressed body of a scrape of these clouds."""
    body = watched.exposition.body(openmetrics=openmetrics, compressed=compressed, clouds=clouds)
    content = b"".join(body)
    assert len(content) == body.size
    return (gzip.decompress(content) if compressed else content).decode()


@pytest.fixture(params=[1, 2, 3, 256])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> WatchedCloud:
    """Three clouds, in groups of each size."""
    monkeypatch.setattr(render_cache, "TARGETS_PER_GROUP", request.param)
    cloud = WatchedCloud()
    for _ in range(2):
        cloud.add_cloud()
    for index in range(len(cloud.targets)):
        cloud.poll(index, Found(Image("v1", "one", "active", name="é", size_bytes=5)))
    cloud.poll(1, Gone())
    return cloud


@pytest.mark.parametrize(
    "clouds", [[FIRST], [SECOND], [THIRD], [FIRST, THIRD], [THIRD, SECOND, FIRST]]
)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_scrape_of_clouds_has_exactly_their_samples(
    watched: WatchedCloud, clouds: list[str], openmetrics: bool
) -> None:
    text = scraped(watched, clouds, openmetrics)
    assert text == expected(watched, clouds, openmetrics)
    assert scraped(watched, clouds, openmetrics, compressed=True) == text
    assert {found[1] for found in map(CLOUD.search, text.splitlines()) if found} == set(clouds)
    # Samples of no cloud.
    assert "\nown_total 0.0\n" in text
    watched.poll(0, Gone())
    assert scraped(watched, clouds, openmetrics) == expected(watched, clouds, openmetrics)


def test_all_clouds_by_name_are_the_whole_exposition(watched: WatchedCloud) -> None:
    assert scraped(watched, [FIRST, SECOND, THIRD], openmetrics=False) == scraped(
        watched, [], openmetrics=False
    )


def test_cloud_without_images_has_its_own_metrics_only(watched: WatchedCloud) -> None:
    watched.store.set_targets(SECOND, [])
    text = scraped(watched, [SECOND], openmetrics=False)
    assert "image_id=" not in text
    assert f'openstack_image_exporter_targets{{cloud="{SECOND}"}} 0.0\n' in text


def test_unknown_cloud_is_an_error_that_names_the_known_ones() -> None:
    watched = WatchedCloud()
    watched.add_cloud()
    with pytest.raises(UnknownCloudError) as caught:
        scraped(watched, [FIRST, "la"], openmetrics=False)
    assert str(caught.value) == "unknown cloud 'la'; accepted: lab, cloud 1"
