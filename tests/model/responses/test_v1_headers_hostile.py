"""Arbitrary bytes in a response head: no exception, no wrong value, a valid exposition."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import event, given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.model.image import Image
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v1_headers import image_from_headers
from exporter.text import escape
from exporter.transport.http1 import parse_head
from tests.support.examples import examples
from tests.support.images import ID, MAX_STALE, START, TARGET
from tests.support.reference_collector import store_registry

PREFIX = b"x-image-meta-"
PROPERTY = b"x-image-meta-property-"
HEADER = re.compile(rb"(?i)([!#$%&'*+.^_`|~0-9a-z-]+|x-image-meta-property-[^:]+):", re.DOTALL)

# Response heads

NUMBERS = st.integers(0, 2**63 - 1).map(lambda number: str(number).encode())
BOOLEANS = st.sampled_from([b"True", b"False", b"TRUE", b"false"])
TIMES = st.datetimes(timezones=st.just(UTC) | st.none()).map(
    lambda moment: moment.isoformat().encode()
) | st.sampled_from([b"2026-11-23 11:02:42Z", b"2026-11-23T11:02:42-2359"])
TEXTS = st.text().map(str.encode) | st.binary()
ANY_VALUE = st.one_of(NUMBERS, BOOLEANS, TIMES, TEXTS, st.sampled_from([b"None", b""]))

NO_NUMBERS = [b"9223372036854775808", b"-1", b"+5", b"1e3", b"0x1", b"1_0", b"\xd9\xa3"]
NO_BOOLEANS = [b"1", b"yes", b"on", b"Truefalse"]
NO_TIMES = [b"2026-11-23T11:02:42+00:99", b"2026-11-23T24:00:00", b"2026-02-29T00:00:00", b"0"]

KINDS = (
    ((b"size", b"virtual_size", b"min_disk", b"min_ram"), NUMBERS, NO_NUMBERS),
    ((b"protected", b"is_public", b"deleted"), BOOLEANS, NO_BOOLEANS),
    ((b"created_at", b"updated_at", b"deleted_at"), TIMES, NO_TIMES),
    ((b"name", b"owner", b"checksum", b"disk_format"), st.text().map(str.encode), [b"\xff"]),
    ((b"id",), st.just(ID.encode()), [b"another"]),
)
FITTING = {PREFIX + name: fitting for names, fitting, _ in KINDS for name in names}
MISFITS = {PREFIX + name: st.sampled_from(bad) for names, _, bad in KINDS for name in names}
STATUS = PREFIX + b"status: active"


def lines_with(values: dict[bytes, st.SearchStrategy[bytes]]) -> st.SearchStrategy[bytes]:
    """Return lines of any of these headers, each with a value from its strategy."""
    return st.sampled_from(sorted(values)).flatmap(
        lambda name: values[name].map(lambda value: name.title() + b": " + value)
    )


TENANTS = st.sampled_from([PREFIX + b"name: a", PROPERTY + b"a: ", PROPERTY + b"b c:"])
BREAKS = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n "])
ODD = st.one_of(
    lines_with(dict.fromkeys(FITTING, ANY_VALUE)),
    st.tuples(TENANTS, BREAKS, lines_with(FITTING) | TEXTS | st.just(STATUS)).map(b"".join),
    st.tuples(lines_with(FITTING), BREAKS, TEXTS).map(b"".join),
    st.tuples(st.just(PROPERTY), st.text().map(str.encode), st.just(b":"), TEXTS).map(b"".join),
    st.sampled_from([b"Date: now", b"ETag: x", b"X-Image-Meta-Size : 5", b"X-Image-Meta-New: x"]),
    st.binary(),
)
"""Lines that a careless or malicious sender may insert."""


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Return response heads that are mostly valid, each ended by an empty line."""
    names = st.sampled_from(sorted(FITTING))
    values = {name: FITTING[name] for name in sorted(draw(st.sets(names)))}
    values |= {name: MISFITS[name] for name in draw(st.sets(names, max_size=1))}
    lines = [STATUS, *(name + b": " + draw(value) for name, value in values.items())]
    lines = draw(st.permutations([*lines, *draw(st.lists(ODD, max_size=2))]))
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines]).partition(b"\r\n\r\n")[0]


# A second, simple parser


def _whole(written: str) -> int:
    assert re.fullmatch("[0-9]+", written)
    assert int(written) < 2**63
    return int(written)


def _time(written: str) -> float:
    assert not re.search(r"[+-]..:?[6-9].$", written)
    moment = datetime.fromisoformat(written)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _flag(written: str) -> bool:
    return {"TRUE": True, "FALSE": False}[written.upper()]


BY_HAND: dict[str, tuple[str, Callable[[str], object]]] = {
    "status": ("status", str),
    "name": ("name", str),
    "size_bytes": ("size", _whole),
    "virtual_size_bytes": ("virtual_size", _whole),
    "protected": ("protected", _flag),
    "public": ("is_public", _flag),
    "deleted": ("deleted", _flag),
    "created_at": ("created_at", _time),
    "updated_at": ("updated_at", _time),
    "deleted_at": ("deleted_at", _time),
    "container_format": ("container_format", str),
    "disk_format": ("disk_format", str),
    "min_disk_bytes": ("min_disk", lambda written: _whole(written) * 2**30),
    "min_ram_bytes": ("min_ram", lambda written: _whole(written) * 2**20),
    "project_id": ("owner", str),
    "digests": ("checksum", lambda written: (("md5", written),)),
}
"""Header and converter of each attribute of an image."""

DERIVED = {"api", "id", "hidden", "visibility", "properties"}


def sent_values(head: bytes) -> dict[bytes, set[bytes]]:
    """Return the sent values by header. A header before a stray line counts as two."""
    values: defaultdict[bytes, set[bytes]] = defaultdict(set)
    last = b""
    for line in head.split(b"\r\n")[1:]:
        if HEADER.match(line):
            name, _, value = line.partition(b":")
            last = name.lower()
            values[last].add(value.strip(b" \t"))
        else:
            values[last].add(line + b" is stray")
    return values


def only_value(values: set[bytes]) -> str:
    """Return the value if there is exactly one, on one line and in UTF-8."""
    (value,) = values
    assert not re.search(rb"[\r\n]", value)
    return value.decode()


def check(image: Image, head: bytes) -> None:
    """Assert that every known attribute is the value of exactly one header."""
    values = sent_values(head)
    for attribute in set(Image.__slots__) - DERIVED:
        read = getattr(image, attribute)
        if read not in (None, ()):
            name, convert = BY_HAND[attribute]
            assert read == convert(only_value(values[PREFIX + name.encode()]))
    for key, value in image.properties:
        assert value == only_value(values[PROPERTY + key.encode()])
    assert image.visibility == ("public" if image.public else None)
    assert image.hidden is None
    assert values.get(PREFIX + b"id", set()) <= {ID.encode(), b"None", b""}
    for header, header_values in values.items():
        if header.startswith(PREFIX) and not header.startswith((PROPERTY, PREFIX + b"name")):
            assert len(header_values) == 1


# Tests


@given(heads())
@examples(1000)
def test_any_head_gives_correct_values_or_none(head: bytes) -> None:
    image = image_from_headers(parse_head(head).headers, ID)
    event(type(image).__name__)
    if isinstance(image, Malformed):
        assert image.problems
        assert str(image).isprintable()
        assert str(image).isascii()
    else:
        check(image, head)


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_any_parsed_head_raises_nothing(fields: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(image_from_headers(fields, ID), Image | Malformed)


ANY = st.text(st.characters(exclude_categories=["Cs"]))
"""Text that UTF-8 can encode."""
CLEAN = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)
    .map(lambda text: text.strip(" \t"))
    .filter(lambda text: text not in ("", "None"))
)
"""Text that fits on one line."""
SIZES = st.none() | st.integers(0, 2**63 - 1)
FLAGS = st.none() | st.booleans()
INSTANTS = st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.timestamp())


@st.composite
def images(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> Image:
    """Return images that the API can describe, with these texts."""
    public = draw(FLAGS)
    keys = st.text("abc _-ключ", min_size=1).map(lambda key: key.strip()).filter(bool)
    checksum = draw(st.none() | st.text("0123456789abcdef", min_size=32, max_size=32))
    return Image(
        api="v1",
        id=ID,
        status=draw(texts),
        name=draw(st.none() | texts),
        size_bytes=draw(SIZES),
        virtual_size_bytes=draw(SIZES),
        protected=draw(FLAGS),
        public=public,
        visibility="public" if public else None,
        deleted=draw(FLAGS),
        created_at=draw(INSTANTS),
        updated_at=draw(INSTANTS),
        deleted_at=draw(INSTANTS),
        container_format=draw(st.none() | texts),
        disk_format=draw(st.none() | texts),
        min_disk_bytes=2**30 * draw(st.integers(0, 2**31)),
        min_ram_bytes=2**20 * draw(st.integers(0, 2**31)),
        digests=(("md5", checksum),) if checksum else (),
        project_id=draw(st.none() | texts),
        properties=tuple(sorted(draw(st.dictionaries(keys, texts, max_size=3)).items())),
    )


def _iso(seconds: object) -> str:
    assert isinstance(seconds, float)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


WRITTEN: dict[str, Callable[[object], str]] = {
    "created_at": _iso,
    "updated_at": _iso,
    "deleted_at": _iso,
    "min_disk_bytes": lambda value: str(int(str(value)) >> 30),
    "min_ram_bytes": lambda value: str(int(str(value)) >> 20),
    "digests": lambda value: value[0][1],  # type: ignore[index]  # pairs
}


def lines_of(image: Image) -> Iterable[bytes]:
    """Return the header lines by which Glance describes the image."""
    for attribute, (name, _) in BY_HAND.items():
        value = getattr(image, attribute)
        if value not in (None, ()):
            yield PREFIX + f"{name}: {WRITTEN.get(attribute, str)(value)}".encode()
    for key, text in image.properties:
        yield PROPERTY + f"{key}: {text}".encode()


@given(images(CLEAN))
def test_every_image_survives_the_round_trip(image: Image) -> None:
    """As far as a field fits on one line."""
    head = parse_head(b"\r\n".join([b"HTTP/1.1 200 OK", *lines_of(image)]))
    read = image_from_headers(head.headers, ID)
    assert isinstance(read, Image)
    for attribute in ("created_at", "updated_at", "deleted_at"):
        # Before 1970 a float of a date is not exact to the microsecond.
        sent_at, read_at = getattr(image, attribute), getattr(read, attribute)
        assert sent_at == read_at or abs(sent_at - read_at) < 1e-3
        read = replace(read, **{attribute: sent_at})
    assert read == image


def samples(families: Iterable[Metric]) -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """Return the label sets of all series by name."""
    label_sets: defaultdict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
    for family in families:
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in label_sets[sample.name]
            label_sets[sample.name].add(labels)
    return label_sets


def check_exposition(image: Image | Malformed) -> None:
    """Parse both formats and compare them with the image, whose texts are escaped."""
    outcome = Failed("malformed", str(image)) if isinstance(image, Malformed) else Found(image)
    registry = store_registry((TARGET, NEVER_POLLED.with_outcome(outcome, START, MAX_STALE)))
    plain = samples(parse_text(generate_latest(registry).decode()))
    # Neither has annotations.
    written = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
    assert samples(parse_openmetrics(written.decode())) == plain  # type: ignore[no-untyped-call]
    own = {"cloud": TARGET.cloud, "image_id": TARGET.image_id, "image": TARGET.alias}
    infos: list[dict[str, str]] = []
    properties: list[dict[str, str]] = []
    contents: list[dict[str, str]] = []
    if isinstance(image, Image) and image.exists:
        stable = {"name": image.name, "project_id": image.project_id}
        stable |= {"disk_format": image.disk_format, "container_format": image.container_format}
        stable |= {"visibility": image.visibility}
        infos = [{name: escape(text or "") for name, text in stable.items()}]
        properties = [{"property": key, "value": escape(text)} for key, text in image.properties]
        digests = [tuple(map(escape, digest)) for digest in image.digests]
        contents = [{"algorithm": name, "digest": digest} for name, digest in digests]
    for name, rows in (("", infos), ("property_", properties), ("content_", contents)):
        expected = {tuple(sorted((own | row).items())) for row in rows}
        assert plain[f"openstack_image_{name}info"] == expected


@given(heads())
@examples(200)
def test_any_head_gives_a_valid_exposition(head: bytes) -> None:
    check_exposition(image_from_headers(parse_head(head).headers, ID))


@given(images(ANY))
def test_any_image_gives_a_valid_exposition(image: Image) -> None:
    check_exposition(image)
