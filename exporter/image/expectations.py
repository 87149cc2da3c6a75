"""What the operator expects of an image, held against what it is."""

from collections.abc import Callable
from math import inf

from exporter.image.image import Image
from exporter.image.moment import Moment

Judge = Callable[[Image, object, Moment], bool | None]
"""Whether an image meets what is wanted at a moment, ``None`` where the API does not say."""


def _status(image: Image, wanted: object, _: Moment) -> bool:
    return image.status in wanted if isinstance(wanted, tuple) else image.status == wanted


def _protected(image: Image, wanted: object, _: Moment) -> bool | None:
    return None if image.protected is None else image.protected == wanted


def _public(image: Image, wanted: object, _: Moment) -> bool | None:
    return None if image.public is None else image.public == wanted


def _max_age(image: Image, wanted: object, now: Moment) -> bool | None:
    ends = _max_age_ends(image, wanted)
    return None if ends == inf else now.wall <= ends


def _max_age_ends(image: Image, wanted: object) -> float:
    """When (wall seconds) the image becomes too old; infinite where its creation is unknown."""
    if image.created_at is None or not isinstance(wanted, int | float):
        return inf
    return image.created_at + wanted


EXPECTATIONS: dict[str, Judge] = {
    "status": _status,
    "protected": _protected,
    "public": _public,
    "max_age": _max_age,
}
"""Every expectation by its name in the settings, and who judges it."""


def judged(
    expect: tuple[tuple[str, object], ...], image: Image | None, now: Moment
) -> tuple[tuple[str, bool], ...]:
    """Each expectation that can be judged of a living image, and whether it is met."""
    if image is None or not image.exists:
        return ()
    verdicts = ((name, EXPECTATIONS[name](image, wanted, now)) for name, wanted in expect)
    return tuple((name, met) for name, met in verdicts if met is not None)


def next_change(expect: tuple[tuple[str, object], ...], image: Image | None, now: Moment) -> float:
    """The steady time at which time alone changes a verdict; infinite where it does not."""
    if image is None or not image.exists:
        return inf
    ages = (wanted for name, wanted in expect if name == "max_age")
    ends = min((_max_age_ends(image, wanted) for wanted in ages), default=inf)
    return now.steady + (ends - now.wall) if ends >= now.wall else inf
