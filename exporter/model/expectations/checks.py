"""What the operator expects of an image, held against what it is."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from math import inf
from typing import Any, NamedTuple

from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.units import SizeRange

Expectations = tuple[tuple[str, object], ...]
"""Pairs of expectation and wanted value, whose shape is its judge's, see ``CHECKS``."""

VISIBILITIES = ("public", "private", "shared", "community")
"""Every visibility of API v2; v1 knows only whether it is the first."""

EXISTS = "exists"
"""The one expectation of an image that is not there; wanted is a boolean."""

MD5 = "md5"


class CheckResult(NamedTuple):
    """One expectation: what was wanted, what is, and whether it is ``met``.

    ``actual`` is ``None`` where it is not known, ``met`` where it cannot be judged.
    """

    expectation: str
    expected: object
    actual: object
    met: bool | None


Check = Callable[[Image, Any, Instant], tuple[object, bool | None]]
"""What a living image is, and whether that is as wanted; ``None`` where the API does not say."""


def _equal(attribute: str) -> Check:
    """Wanted is the value itself."""

    def judge(image: Image, wanted: object, _: Instant) -> tuple[object, bool | None]:
        actual = getattr(image, attribute)
        return actual, None if actual is None else actual == wanted

    return judge


def _among(attribute: str) -> Check:
    """Wanted is a tuple of the values that will do; also for a range of sizes."""

    def judge(
        image: Image, wanted: tuple[str, ...] | SizeRange, _: Instant
    ) -> tuple[object, bool | None]:
        actual = getattr(image, attribute)
        return actual, None if actual is None else actual in wanted

    return judge


def _visibility(image: Image, wanted: tuple[str, ...], _: Instant) -> tuple[object, bool | None]:
    """Wanted is a tuple of visibilities; of one that is not public, v1 does not say which it is."""
    if image.visibility is not None:
        return image.visibility, image.visibility in wanted
    if image.public is not False:
        # That it is public, every API says in both ways.
        return None, None
    possible = VISIBILITIES[1:]
    fitting = [each in wanted for each in possible]
    return possible, all(fitting) if all(fitting) or not any(fitting) else None


def _checksum(image: Image, wanted: str, _: Instant) -> tuple[object, bool | None]:
    """Wanted is an MD5 in hexadecimal, lower case."""
    actual = dict(image.digests).get(MD5)
    return actual, None if actual is None else actual.lower() == wanted


def _hash(
    image: Image, wanted: tuple[tuple[str, str], ...], _: Instant
) -> tuple[object, bool | None]:
    """Wanted is pairs of algorithm and digest, in lower case; one that is given decides."""
    given = dict(image.digests)
    actual = tuple((each, given[each]) for each, _ in wanted if each in given)
    met = all(digest.lower() == dict(wanted)[algorithm] for algorithm, digest in actual)
    return actual or None, met if actual else None


def _name(image: Image, wanted: str, _: Instant) -> tuple[object, bool | None]:
    """Wanted is a glob in which case counts."""
    return image.name, None if image.name is None else fnmatchcase(image.name, wanted)


def _properties(
    image: Image, wanted: tuple[tuple[str, str], ...], _: Instant
) -> tuple[object, bool | None]:
    """Wanted is pairs of name and value, all to be so; one that is not there is not as wanted.

    v1 gives names in lower case and values without white space at their ends, and does not tell
    the value ``None`` from none at all. An answer from before the expectation may not have been
    asked for the property.
    """
    held = dict(image.properties)
    is_v1 = image.api == "v1"
    actual = []
    met: list[bool | None] = []
    for name, value in wanted:
        key = name.lower() if is_v1 else name
        is_told = image.requested_properties is None or key in image.requested_properties
        is_blurred = is_v1 and _through_v1(value) != value and held.get(key) == _through_v1(value)
        actual.append((name, held.get(key)))
        met.append(held.get(key) == value if is_told and not is_blurred else None)
    return tuple(actual), False if False in met else None if None in met else True


def _through_v1(value: str) -> str | None:
    """What v1 makes of a property's value."""
    text = value.strip(" ")
    return None if text in {"", "None"} else text


def _lasts(attribute: str) -> Check:
    """Wanted is seconds that may have passed since the time in the attribute."""

    def judge(image: Image, wanted: float, now: Instant) -> tuple[object, bool | None]:
        since = getattr(image, attribute)
        if since is None:
            return None, None
        # As in next_change: a difference of such numbers is not the same to the last bit.
        return now.wall - since, now.wall <= since + wanted

    return judge


TIME_BASED = {"max_age": "created_at", "max_unchanged": "updated_at"}
"""The expectations that time alone can break, and the attribute from which on it counts."""

CHECKS: dict[str, Check] = {
    "status": _among("status"),
    "protected": _equal("protected"),
    "public": _equal("public"),
    "visibility": _visibility,
    "hidden": _equal("hidden"),
    "checksum": _checksum,
    "hash": _hash,
    "size": _among("size_bytes"),
    "min_disk": _among("min_disk_bytes"),
    "min_ram": _among("min_ram_bytes"),
    "disk_format": _among("disk_format"),
    "container_format": _among("container_format"),
    "owner": _among("project_id"),
    "name": _name,
    "properties": _properties,
    **{name: _lasts(attribute) for name, attribute in TIME_BASED.items()},
}
"""Who judges each expectation of a living image, by its name in the settings."""

EXPECTATIONS = (EXISTS, *CHECKS)
"""The names of all expectations."""


def evaluate(expect: Expectations, seen: Observation, now: Instant) -> tuple[CheckResult, ...]:
    """One for each expectation, those that cannot be judged included.

    ``seen`` is to be an observation as it stands now, see ``Observation.at``. Of an image that is
    gone, only its existence can be judged; of one that nothing is known of, nothing.
    """
    return tuple(_verdict(name, wanted, seen, now) for name, wanted in expect)


def verifiable(expect: Expectations, seen: Observation, now: Instant) -> tuple[CheckResult, ...]:
    """The results on all that can be judged: ``met`` is true or false."""
    return tuple(each for each in evaluate(expect, seen, now) if each.met is not None)


def as_expected(expect: Expectations, seen: Observation, now: Instant) -> bool:
    """Whether the image is there, or not, as it should be, and every expectation is met.

    Where nothing else is said, it should be there. What cannot be judged is not met.
    """
    wanted = dict(expect).get(EXISTS, True)
    if seen.exists is not wanted:
        return False
    return wanted is False or all(each.met for each in evaluate(expect, seen, now))


def next_evaluation(expect: Expectations, image: Image | None, now: Instant) -> float:
    """The steady time at which time alone next changes a verdict; infinite where it does not."""
    if image is None or not image.exists:
        return inf
    ends = (
        getattr(image, TIME_BASED[name]) + wanted
        for name, wanted in expect
        if name in TIME_BASED and getattr(image, TIME_BASED[name]) is not None
    )
    nearest = min((end for end in ends if end >= now.wall), default=inf)
    return now.monotonic + (nearest - now.wall)


def is_time_based(expect: Expectations) -> bool:
    """Whether what the clock says matters to any of the expectations."""
    return any(name in TIME_BASED for name, _ in expect)


def _verdict(name: str, wanted: object, seen: Observation, now: Instant) -> CheckResult:
    if name == EXISTS:
        met = None if seen.exists is None else seen.exists is wanted
        return CheckResult(name, wanted, seen.exists, met)
    if seen.image is None or not seen.image.exists:
        return CheckResult(name, wanted, None, None)
    return CheckResult(name, wanted, *CHECKS[name](seen.image, wanted, now))
