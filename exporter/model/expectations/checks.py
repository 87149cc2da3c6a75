"""Expectations of the operator, and their comparison with an image."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from math import inf
from typing import Any, NamedTuple

from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.units import SizeRange

Expectations = tuple[tuple[str, object], ...]
"""Pairs of expectation and expected value. The check in ``CHECKS`` defines the value's type."""

VISIBILITIES = ("public", "private", "shared", "community")
"""Every visibility of API v2. v1 reports only if an image is public."""

EXISTS = "exists"
"""The only expectation that is evaluated for a gone image. Its value is a boolean."""

MD5 = "md5"


class CheckResult(NamedTuple):
    """Result of one expectation.

    Attributes:
        expectation: Its name in the settings.
        expected: The value in the settings.
        actual: The value of the image, or None if it is unknown.
        met: None if the expectation cannot be evaluated from the API's response.
    """

    expectation: str
    expected: object
    actual: object
    met: bool | None


Check = Callable[[Image, Any, Instant], tuple[object, bool | None]]
"""Compares an existing image with the expected value; returns ``actual`` and ``met``."""


def _equal(attribute: str) -> Check:
    """Return a check that expects one value."""

    def check(image: Image, expected: object, _: Instant) -> tuple[object, bool | None]:
        actual = getattr(image, attribute)
        return actual, None if actual is None else actual == expected

    return check


def _among(attribute: str) -> Check:
    """Return a check that expects one of several values, or a size within a range."""

    def check(
        image: Image, expected: tuple[str, ...] | SizeRange, _: Instant
    ) -> tuple[object, bool | None]:
        actual = getattr(image, attribute)
        return actual, None if actual is None else actual in expected

    return check


def _check_visibility(
    image: Image, expected: tuple[str, ...], _: Instant
) -> tuple[object, bool | None]:
    """Expect one of several visibilities. v1 reports only if an image is public or not."""
    if image.visibility is not None:
        return image.visibility, image.visibility in expected
    if image.public is not False:
        # Every API reports a public image as both `public: true` and `visibility: public`.
        return None, None
    possible = VISIBILITIES[1:]
    fits = [visibility in expected for visibility in possible]
    return possible, all(fits) if all(fits) or not any(fits) else None


def _check_checksum(image: Image, expected: str, _: Instant) -> tuple[object, bool | None]:
    """Expect an MD5 digest in lower-case hexadecimal."""
    actual = dict(image.digests).get(MD5)
    return actual, None if actual is None else actual.lower() == expected


def _check_hash(
    image: Image, expected: tuple[tuple[str, str], ...], _: Instant
) -> tuple[object, bool | None]:
    """Expect pairs of algorithm and lower-case digest. Only reported algorithms count."""
    digests = dict(image.digests)
    actual = tuple((name, digests[name]) for name, _ in expected if name in digests)
    met = all(digest.lower() == dict(expected)[algorithm] for algorithm, digest in actual)
    return actual or None, met if actual else None


def _check_name(image: Image, expected: str, _: Instant) -> tuple[object, bool | None]:
    """Expect a name that matches a case-sensitive glob."""
    return image.name, None if image.name is None else fnmatchcase(image.name, expected)


def _check_properties(
    image: Image, expected: tuple[tuple[str, str], ...], _: Instant
) -> tuple[object, bool | None]:
    """Expect all pairs of name and value. An absent property differs from any value.

    The result is unknown for a property that was not requested, because the image was polled
    before the expectation was configured, and for a value that the API version does not report
    unchanged.
    """
    properties = dict(image.properties)
    actual = []
    met: list[bool | None] = []
    for name, value in expected:
        reported_name = image.traits.property_name(name)
        reported_value = image.traits.property_value(value)
        requested = image.requested_properties
        is_requested = requested is None or reported_name in requested
        actual_value = properties.get(reported_name)
        is_ambiguous = reported_value != value and actual_value == reported_value
        actual.append((name, actual_value))
        met.append(actual_value == value if is_requested and not is_ambiguous else None)
    return tuple(actual), False if False in met else None if None in met else True


def _at_most_since(attribute: str) -> Check:
    """Return a check that expects at most a number of seconds since a time of the image."""

    def check(image: Image, expected: float, now: Instant) -> tuple[object, bool | None]:
        start = getattr(image, attribute)
        if start is None:
            return None, None
        # Add as in next_evaluation: a difference of such floats may differ in the last bit.
        return now.wall - start, now.wall <= start + expected

    return check


TIME_BASED = {"max_age": "created_at", "max_unchanged": "updated_at"}
"""The expectations that stop being met as time passes, and the attribute that they count from."""

CHECKS: dict[str, Check] = {
    "status": _among("status"),
    "protected": _equal("protected"),
    "public": _equal("public"),
    "visibility": _check_visibility,
    "hidden": _equal("hidden"),
    "checksum": _check_checksum,
    "hash": _check_hash,
    "size": _among("size_bytes"),
    "min_disk": _among("min_disk_bytes"),
    "min_ram": _among("min_ram_bytes"),
    "disk_format": _among("disk_format"),
    "container_format": _among("container_format"),
    "owner": _among("project_id"),
    "name": _check_name,
    "properties": _check_properties,
    **{name: _at_most_since(attribute) for name, attribute in TIME_BASED.items()},
}
"""The check of each expectation of an existing image, by its name in the settings."""

EXPECTATIONS = (EXISTS, *CHECKS)
"""The names of all expectations. ``config.expect`` asserts that its fields are the same."""


def evaluate(
    expectations: Expectations, observation: Observation, now: Instant
) -> tuple[CheckResult, ...]:
    """Return a result for each expectation, including those that cannot be evaluated.

    ``observation`` must be as of ``now``, see ``Observation.as_of``. For a gone image only
    ``exists`` is evaluated. For an image in an unknown state nothing is evaluated.
    """
    return tuple(_evaluate(name, expected, observation, now) for name, expected in expectations)


def verifiable(
    expectations: Expectations, observation: Observation, now: Instant
) -> tuple[CheckResult, ...]:
    """Return the results of the expectations that can be evaluated."""
    results = evaluate(expectations, observation, now)
    return tuple(result for result in results if result.met is not None)


def as_expected(expectations: Expectations, observation: Observation, now: Instant) -> bool:
    """Return True if the image's existence is as expected and it meets every expectation.

    An image is expected to exist by default. An expectation that cannot be evaluated counts as not
    met.
    """
    should_exist = dict(expectations).get(EXISTS, True)
    if observation.exists is not should_exist:
        return False
    return should_exist is False or all(
        result.met for result in evaluate(expectations, observation, now)
    )


def next_evaluation(expectations: Expectations, image: Image | None, now: Instant) -> float:
    """Return the monotonic time at which time alone next changes a result, or infinity."""
    if image is None or not image.exists:
        return inf
    next_at = inf
    for name, expected in expectations:
        start = getattr(image, TIME_BASED[name]) if name in TIME_BASED else None
        if start is not None and start + expected >= now.wall:
            next_at = min(next_at, start + expected)
    return now.monotonic + (next_at - now.wall)


def is_time_based(expectations: Expectations) -> bool:
    """Return True if any of the expectations depends on the clock."""
    return any(name in TIME_BASED for name, _ in expectations)


def _evaluate(name: str, expected: object, observation: Observation, now: Instant) -> CheckResult:
    if name == EXISTS:
        met = None if observation.exists is None else observation.exists is expected
        return CheckResult(name, expected, observation.exists, met)
    if observation.image is None or not observation.image.exists:
        return CheckResult(name, expected, None, None)
    return CheckResult(name, expected, *CHECKS[name](observation.image, expected, now))
