"""The series with the labels that the operator gives to images."""

from dataclasses import replace

from exporter.model.image import Image
from exporter.model.outcome import Found
from exporter.model.target import OperatorLabels
from tests.metrics.exposition.watched_cloud import IDS, WatchedCloud

SERIES = "openstack_image_labels"


def lines(watched: WatchedCloud) -> list[str]:
    """Return the samples, after comparing the exposition with that of prometheus_client."""
    for openmetrics in (False, True):
        assert watched.scrape(openmetrics) == watched.expected(openmetrics)
        assert watched.scrape(openmetrics, compressed=True) == watched.expected(openmetrics)
    text = watched.scrape(openmetrics=False).decode()
    return [line for line in text.split("\n") if line.startswith(f"{SERIES}{{")]


def set_labels(watched: WatchedCloud, *labels: OperatorLabels) -> None:
    """Replace the labels of each image, as a reload does."""
    watched.targets = [
        replace(target, operator_labels=own)
        for target, own in zip(watched.targets, labels, strict=True)
    ]
    watched.store.set_targets("lab", watched.targets)


def test_no_series_without_labels() -> None:
    assert lines(WatchedCloud()) == []


def test_each_image_has_one_series_with_all_labels() -> None:
    watched = WatchedCloud()
    set_labels(
        watched,
        (("a", "first"), ("cost_center", "7"), ("team", 'the "web" team\\')),
        (("a", ""), ("cost_center", ""), ("team", "Müller")),
        (("a", ""), ("cost_center", ""), ("team", "Müller")),
    )
    assert lines(watched) == [
        f'{SERIES}{{a="first",cloud="lab",cost_center="7",image="alias one",image_id="one",'
        'team="the \\"web\\" team\\\\"} 1.0',
        f'{SERIES}{{a="",cloud="lab",cost_center="",image="alias two",image_id="two",'
        'team="Müller"} 1.0',
        f'{SERIES}{{a="",cloud="lab",cost_center="",image="alias three",image_id="three",'
        'team="Müller"} 1.0',
    ]


def test_labels_change_with_the_configuration_and_other_series_do_not() -> None:
    watched = WatchedCloud()
    watched.poll(0, Found(Image("v1", "one", "active", size_bytes=5)))
    before = watched.scrape(openmetrics=False).decode()
    set_labels(watched, *[(("team", "web"),)] * len(IDS))
    first = lines(watched)
    set_labels(watched, *[(("team", "ops"), ("tier", ""))] * len(IDS))
    assert lines(watched) == [line.replace('team="web"', 'team="ops",tier=""') for line in first]
    set_labels(watched, *[()] * len(IDS))
    assert lines(watched) == []
    assert watched.scrape(openmetrics=False).decode() == before


def test_images_with_different_names_do_not_break_the_scrape() -> None:
    """The settings give all images the same names; a scrape does not depend on it."""
    watched = WatchedCloud()
    set_labels(watched, (("team", "web"),), (), (("tier", "gold"),))
    assert [line.partition('image_id="')[2] for line in lines(watched)] == [
        'one",team="web",tier=""} 1.0',
        'two",team="",tier=""} 1.0',
        'three",team="",tier="gold"} 1.0',
    ]
