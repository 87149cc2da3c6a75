from dataclasses import replace
from math import inf

import pytest

from exporter.image.expectations import EXPECTATIONS, judged, next_change
from exporter.image.image import Image
from exporter.image.moment import Moment
from tests.image.samples import ACTIVE, START, later

YOUNG = replace(ACTIVE, created_at=START.wall - 100)
DELETED = replace(ACTIVE, deleted=True)

VERDICTS = [
    ("status", ("active",), ACTIVE, True),
    ("status", ("queued", "active"), ACTIVE, True),
    ("status", ("queued", "saving"), ACTIVE, False),
    ("status", ("active",), replace(ACTIVE, status="act"), False),
    ("protected", True, ACTIVE, True),
    ("protected", False, ACTIVE, False),
    ("protected", True, replace(ACTIVE, protected=None), None),
    ("public", False, ACTIVE, True),
    ("public", True, ACTIVE, False),
    ("public", False, replace(ACTIVE, public=None), None),
    ("max_age", 100.0, YOUNG, True),
    ("max_age", 99.0, YOUNG, False),
    ("max_age", 99.0, replace(ACTIVE, created_at=None), None),
]


@pytest.mark.parametrize(("name", "wanted", "image", "met"), VERDICTS)
def test_an_expectation_is_met_or_not_or_cannot_be_judged(
    name: str, wanted: object, image: Image, met: bool | None
) -> None:
    """What the API does not say is no verdict, so its series is absent."""
    assert judged(((name, wanted),), image, START) == (() if met is None else ((name, met),))


def test_every_expectation_is_tested() -> None:
    """A new expectation needs a verdict of each kind here."""
    assert {name for name, *_ in VERDICTS} == EXPECTATIONS.keys()


def test_verdicts_come_in_the_order_of_the_configuration() -> None:
    """Several expectations of one image are judged one by one."""
    expect = (("public", True), ("status", ("active",)), ("max_age", 1.0))
    verdicts = (("public", False), ("status", True), ("max_age", False))
    assert judged(expect, ACTIVE, START) == verdicts


@pytest.mark.parametrize("image", [None, DELETED])
def test_nothing_is_judged_of_an_image_that_is_not_there(image: Image | None) -> None:
    """That an image is gone is told by its existence alone."""
    expect = (("status", ("active",)), ("max_age", 1.0))
    assert judged(expect, image, START) == ()
    assert next_change(expect, image, START) == inf


@pytest.mark.parametrize(
    ("image", "expect", "at"),
    [
        (YOUNG, (("max_age", 160.0),), START.steady + 60),
        (YOUNG, (("protected", True), ("max_age", 100.0)), START.steady),
        (YOUNG, (("max_age", 99.0),), inf),
        (YOUNG, (("protected", True),), inf),
        (replace(YOUNG, created_at=None), (("max_age", 160.0),), inf),
    ],
)
def test_the_next_change_is_when_an_image_becomes_too_old(
    image: Image, expect: tuple[tuple[str, object], ...], at: float
) -> None:
    """Only an age changes by time alone, once, and only where the creation is known."""
    assert next_change(expect, image, START) == at


def test_the_verdict_holds_until_the_next_change_and_not_longer() -> None:
    """At the moment given the image is still young enough; right after it is not."""
    expect = (("max_age", 160.0),)
    at = next_change(expect, YOUNG, START) - START.steady
    assert judged(expect, YOUNG, later(at)) == (("max_age", True),)
    assert judged(expect, YOUNG, later(at + 0.001)) == (("max_age", False),)


def test_an_age_is_counted_by_the_calendar() -> None:
    """How long the machine has been up has nothing to do with an image's age."""
    for steady in (0.0, 1e9):
        assert judged((("max_age", 99.0),), YOUNG, Moment(steady, START.wall)) == (
            ("max_age", False),
        )
