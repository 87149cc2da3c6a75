import pytest

from exporter.model.image import Image
from exporter.model.responses.parsers import Column, Malformed
from exporter.model.responses.v1_headers import V1_HEADERS
from tests.support.images import ID, parse_v1

STATUS = b"X-Image-Meta-Status: active"
NAME = b"X-Image-Meta-Name: "
SIZE = b"X-Image-Meta-Size: "
PROPERTY = b"X-Image-Meta-Property-"

OPTIONAL = [header for header in V1_HEADERS if header.attribute not in {"id", "status"}]


def image(**attributes: object) -> Image:
    """Return an image with its status and these attributes only."""
    return Image(api="v1", id=ID, status="active", **attributes)  # type: ignore[arg-type]  # tests name real ones


ONE_FIELD = {
    "name": (NAME + b"golden", {"name": "golden"}),
    "name-utf8": (NAME + "Ünïcode образ 图像".encode(), {"name": "Ünïcode образ 图像"}),
    "name-quotes": (NAME + rb'a"b\c{d}=e,f: g;h', {"name": r'a"b\c{d}=e,f: g;h'}),
    "name-controls": (NAME + b"a\x00b\x1b[31mc\x7f\tD", {"name": "a\x00b\x1b[31mc\x7f\tD"}),
    "name-bidi": (NAME + "a\u202eb\u2028c".encode(), {"name": "a\u202eb\u2028c"}),
    "name-spaces": (NAME + b" \t two  words \t", {"name": "two  words"}),
    "name-other-space": (NAME + "\xa0\x0b".encode(), {"name": "\xa0\x0b"}),
    "name-looks-joined": (NAME + b"a, b", {"name": "a, b"}),
    "name-not-utf8": (NAME + b"caf\xe9", {}),
    "name-null": (NAME + b"None", {}),
    "name-null-in-other-case": (NAME + b"none", {"name": "none"}),
    "name-of-another-field": (
        NAME + b"X-Image-Meta-Status: queued",
        {"name": "X-Image-Meta-Status: queued"},
    ),
    "any-case": (b"x-iMaGe-mEtA-sIzE:5", {"size_bytes": 5}),
    "no-space": (b"X-Image-Meta-Size:5", {"size_bytes": 5}),
    "spaces-around": (b"X-Image-Meta-Size: \t 5 \t", {"size_bytes": 5}),
    "zero": (SIZE + b"0", {"size_bytes": 0}),
    "largest": (SIZE + b"9223372036854775807", {"size_bytes": 2**63 - 1}),
    "virtual-size": (b"X-Image-Meta-Virtual_size: 6", {"virtual_size_bytes": 6}),
    "disk-format": (b"X-Image-Meta-Disk_format: qcow2", {"disk_format": "qcow2"}),
    "container-format": (b"X-Image-Meta-Container_format: bare", {"container_format": "bare"}),
    "min-disk": (b"X-Image-Meta-Min_disk: 40", {"min_disk_bytes": 42_949_672_960}),
    "min-ram": (b"X-Image-Meta-Min_ram: 512", {"min_ram_bytes": 536_870_912}),
    "protected": (b"X-Image-Meta-Protected: TRUE", {"protected": True}),
    "public": (b"X-Image-Meta-Is_public: true", {"public": True, "visibility": "public"}),
    "private": (b"X-Image-Meta-Is_public: False", {"public": False}),
    "deleted": (b"X-Image-Meta-Deleted: false", {"deleted": False}),
    "time": (b"X-Image-Meta-Created_at: 1970-01-01T00:00:01.5", {"created_at": 1.5}),
    "time-of-deletion": (b"X-Image-Meta-Deleted_at: 1970-01-01T00:00:02", {"deleted_at": 2.0}),
    "time-space": (b"X-Image-Meta-Updated_at: 1970-01-01 00:00:01", {"updated_at": 1.0}),
    "time-zone": (b"X-Image-Meta-Updated_at: 1970-01-01T01:00:00+01:00", {"updated_at": 0.0}),
    "checksum": (b"X-Image-Meta-Checksum: 0f", {"digests": (("md5", "0f"),)}),
    "owner": (b"X-Image-Meta-Owner: 70e8", {"project_id": "70e8"}),
    "own-id": (b"X-Image-Meta-Id: " + ID.encode(), {}),
    "status-again": (STATUS, {}),
    "unknown": (b"X-Image-Meta-Colour: red", {}),
    "other-header": (b"ETag: abc", {}),
    "property": (PROPERTY + b"Os_distro: debian", {"properties": (("os_distro", "debian"),)}),
    "property-empty": (PROPERTY + b"Os_distro:", {"properties": (("os_distro", ""),)}),
    "property-null": (PROPERTY + b"Os_distro: None", {}),
    "property-space": (PROPERTY + b"Two Words: x", {"properties": (("two words", "x"),)}),
    "property-cyrillic": (PROPERTY + "ключ: да".encode(), {"properties": (("ключ", "да"),)}),
    "property-key-not-utf8": (PROPERTY + b"\xf0\xba: x", {}),
    "property-not-utf8": (PROPERTY + b"Os_distro: \xff", {}),
    "property-without-key": (PROPERTY + b": x", {}),
    "property-of-a-status": (PROPERTY + b"status: queued", {"properties": (("status", "queued"),)}),
}
"""A header line after the status, and the attributes that it sets."""


@pytest.mark.parametrize(("line", "attributes"), ONE_FIELD.values(), ids=ONE_FIELD)
def test_one_header_sets_only_its_attribute(line: bytes, attributes: dict[str, object]) -> None:
    assert parse_v1(STATUS, line) == image(**attributes)


def test_every_header_is_in_these_tests() -> None:
    lines = b"\n".join(line.lower() for line, _ in ONE_FIELD.values())
    assert [header.key for header in V1_HEADERS if header.key + b":" not in lines] == []


@pytest.mark.parametrize("null", [b"", b" ", b"None"])
@pytest.mark.parametrize("header", OPTIONAL, ids=lambda header: header.attribute)
def test_null_header_is_absent_and_not_0(header: Column[bytes, str], null: bytes) -> None:
    assert parse_v1(STATUS, header.key + b": " + null) == image()


BREAKS = {
    "bare-lf": [NAME + b"line\nbreak"],
    "bare-cr": [NAME + b"line\rbreak"],
    "cr-at-the-end": [NAME + b"line\r"],
    "crlf": [NAME + b"line", b"break"],
    "crlf-twice": [NAME + b"line", b"break", b"again"],
    "crlf-then-colon-without-name": [NAME + b"line", b": break"],
    "crlf-then-bad-name": [NAME + b"line", b"X-Image-Meta-Size : 5"],
    "crlf-then-bad-bytes": [NAME + b"line", b"\xff\xfe: 5"],
    "folded": [NAME + b"line", b" X-Image-Meta-Size: 5"],
    "folded-by-tab": [NAME + b"line", b"\tbreak"],
    "forged-and-stray": [NAME + b"line", b"Date: now", b"break"],
    "lf-forges-a-status": [NAME + b"line\nX-Image-Meta-Status: queued"],
    "property-lf": [PROPERTY + b"Os_distro: a\nb"],
    "property-crlf": [PROPERTY + b"Os_distro: a", b"b"],
    "property-forges": [PROPERTY + b"Os_distro: a", b"Date: now", b"b"],
    "property-same-twice": [PROPERTY + b"a: a\nb", PROPERTY + b"a: a\nb"],
}
"""Lines that make a tenant's text unknown, but nothing else."""


@pytest.mark.parametrize("lines", BREAKS.values(), ids=BREAKS)
def test_tenant_text_with_a_line_break_is_dropped_and_the_rest_is_kept(
    lines: list[bytes],
) -> None:
    before = b"X-Image-Meta-Min_disk: 1"
    after = b"X-Image-Meta-Virtual_size: 7"
    expected = image(min_disk_bytes=2**30, virtual_size_bytes=7)
    assert parse_v1(STATUS, before, *lines, after) == expected


MALFORMED = {
    "nothing": ([], ["x-image-meta-status is missing"]),
    "no-status": ([SIZE + b"5"], ["x-image-meta-status is missing"]),
    "status-null": ([b"X-Image-Meta-Status: None"], ["x-image-meta-status is missing"]),
    "status-empty": ([b"X-Image-Meta-Status:"], ["x-image-meta-status is missing"]),
    "status-not-utf8": (
        [b"X-Image-Meta-Status: activ\xe9"],
        [r"x-image-meta-status is not UTF-8: 'activ\\xe9'"],
    ),
    "another-id": (
        [STATUS, b"X-Image-Meta-Id: f00"],
        ["x-image-meta-id belongs to another image: 'f00'"],
    ),
    "id-in-capitals": (
        [STATUS, b"X-Image-Meta-Id: " + ID.upper().encode()],
        [f"x-image-meta-id belongs to another image: '{ID.upper()}'"],
    ),
    "too-large": (
        [STATUS, SIZE + b"9223372036854775808"],
        ["x-image-meta-size is larger than 2^63 - 1: '9223372036854775808'"],
    ),
    "negative": (
        [STATUS, SIZE + b"-1"],
        ["x-image-meta-size is not a whole number of 0 or more: '-1'"],
    ),
    "plus": (
        [STATUS, b"X-Image-Meta-Min_disk: +5"],
        ["x-image-meta-min_disk is not a whole number of 0 or more: '+5'"],
    ),
    "exponent": (
        [STATUS, b"X-Image-Meta-Min_ram: 1e3"],
        ["x-image-meta-min_ram is not a whole number of 0 or more: '1e3'"],
    ),
    "no-boolean": (
        [STATUS, b"X-Image-Meta-Protected: 1"],
        ["x-image-meta-protected is neither true nor false: '1'"],
    ),
    "no-time": (
        [STATUS, b"X-Image-Meta-Created_at: yesterday"],
        ["x-image-meta-created_at is not a time like 2026-11-23T11:02:43.626002: 'yesterday'"],
    ),
    "checksum-not-utf8": (
        [STATUS, b"X-Image-Meta-Checksum: \xff"],
        [r"x-image-meta-checksum is not UTF-8: '\\xff'"],
    ),
    "twice": (
        [STATUS, b"X-Image-Meta-Status: queued"],
        ["x-image-meta-status is repeated with different values"],
    ),
    "twice-in-other-case": (
        [STATUS, SIZE + b"5", b"x-image-meta-SIZE: 6"],
        ["x-image-meta-size is repeated with different values"],
    ),
    "null-and-value": (
        [STATUS, SIZE + b"None", SIZE + b"6"],
        ["x-image-meta-size is repeated with different values"],
    ),
    "three-times": (
        [STATUS, SIZE + b"5", SIZE + b"6", SIZE + b"7"],
        ["x-image-meta-size is repeated with different values"],
    ),
    "name-twice": (
        [STATUS, NAME + b"a", NAME + b"b"],
        ["x-image-meta-name is repeated with different values"],
    ),
    "property-twice": (
        [STATUS, PROPERTY + b"a: 1", PROPERTY + b"A: 2"],
        ["x-image-meta-property-a is repeated with different values"],
    ),
    "forged-status": (
        [STATUS, NAME + b"x", b"X-Image-Meta-Status: queued"],
        ["x-image-meta-status is repeated with different values"],
    ),
    "forged-id": (
        [STATUS, b"X-Image-Meta-Id: " + ID.encode(), NAME + b"x", b"X-Image-Meta-Id: f00"],
        ["x-image-meta-id is repeated with different values"],
    ),
    "forged-the-same-and-stray": (
        [STATUS, NAME + b"x", STATUS, b"y"],
        ["x-image-meta-status is followed by a line that is not a header"],
    ),
    "stray": (
        [STATUS, SIZE + b"5", b"0"],
        ["x-image-meta-size is followed by a line that is not a header"],
    ),
    "folded": (
        [STATUS, SIZE + b"5", b" 0"],
        ["x-image-meta-size is followed by a line that is not a header"],
    ),
    "stray-twice": (
        [STATUS, SIZE + b"5", b"0", b"0"],
        ["x-image-meta-size is followed by a line that is not a header"],
    ),
    "lf-in-a-number": (
        [STATUS, SIZE + b"5\n6"],
        [
            "x-image-meta-size is followed by a line that is not a header",
            r"x-image-meta-size is not a whole number of 0 or more: '5\n6'",
        ],
    ),
    "cr-in-a-format": (
        [STATUS, b"X-Image-Meta-Disk_format: raw\r"],
        ["x-image-meta-disk_format is followed by a line that is not a header"],
    ),
    "unknown-field-and-stray": (
        [STATUS, b"X-Image-Meta-Colour: red", b"green"],
        ["x-image-meta-colour is followed by a line that is not a header"],
    ),
    "space-before-the-colon": (
        [b"X-Image-Meta-Status : active"],
        ["x-image-meta-status is missing"],
    ),
    "everything": (
        [SIZE + b"x", b"X-Image-Meta-Deleted: x", b"X-Image-Meta-Id: x"],
        [
            "x-image-meta-status is missing",
            "x-image-meta-size is not a whole number of 0 or more: 'x'",
            "x-image-meta-deleted is neither true nor false: 'x'",
            "x-image-meta-id belongs to another image: 'x'",
        ],
    ),
}


@pytest.mark.parametrize(("lines", "problems"), MALFORMED.values(), ids=MALFORMED)
def test_untrustworthy_response_is_malformed_and_names_every_bad_header(
    lines: list[bytes], problems: list[str]
) -> None:
    malformed = parse_v1(*lines)
    assert malformed == Malformed(tuple(problems))
    assert str(malformed) == "; ".join(problems)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([SIZE + b"5", SIZE + b"5"], id="number"),
        pytest.param([SIZE + b"5", b"x-image-meta-size:5 "], id="spaces"),
    ],
)
def test_header_repeated_with_the_same_value_is_accepted(lines: list[bytes]) -> None:
    """A proxy may double a header."""
    assert parse_v1(STATUS, *lines) == image(size_bytes=5)


@pytest.mark.parametrize("lines", [[b"stray"], [b"Content-Length: 0", b"stray"]])
def test_stray_line_before_any_tenant_text_is_ignored(lines: list[bytes]) -> None:
    assert parse_v1(*lines, STATUS, NAME + b"golden") == image(name="golden")


def test_stray_line_after_another_header_belongs_to_the_last_tenant_text() -> None:
    """Only a tenant's text can have forged the header before the line."""
    lines = (NAME + b"golden", PROPERTY + b"a: 1", b"ETag: x", b"stray", PROPERTY + b"b: 2")
    assert parse_v1(STATUS, *lines) == image(name="golden", properties=(("b", "2"),))


def test_only_requested_properties_are_kept() -> None:
    lines = (STATUS, PROPERTY + b"B: 2", PROPERTY + b"A: 1", PROPERTY + b"C: 3")
    assert parse_v1(*lines) == image(properties=(("a", "1"), ("b", "2"), ("c", "3")))
    names = frozenset({"c", "a", "absent"})
    parsed = parse_v1(*lines, properties=names)
    assert parsed == image(properties=(("a", "1"), ("c", "3")), requested_properties=names)
    assert parse_v1(*lines, properties=frozenset()) == image(requested_properties=frozenset())


def test_properties_are_sorted() -> None:
    one, other = PROPERTY + b"a: 1", PROPERTY + b"b: 2"
    assert parse_v1(STATUS, one, other) == parse_v1(STATUS, other, one)


HOSTILE = [
    SIZE + "\u202e\x1b[31m\x00\u2028'\"".encode() + b"\xff\n\r",
    SIZE + b"x" * 100_000,
    PROPERTY + "\u202e\x1b: 1".encode() + b"\xff",
    PROPERTY + b"k" * 100_000 + b": 1",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_problems_are_short_printable_ascii(line: bytes) -> None:
    malformed = parse_v1(STATUS, line, line + b"2")
    assert isinstance(malformed, Malformed)
    text = str(malformed)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300


def test_images_share_the_texts_that_many_have() -> None:
    """Each would take 50 to 80 bytes of memory per image."""
    headers = (
        STATUS,
        b"X-Image-Meta-Container_format: ovf",
        b"X-Image-Meta-Disk_format: vmdk",
        b"X-Image-Meta-Owner: 70e8",
        PROPERTY + b"hw_model: 1",
    )
    one, other = parse_v1(*headers), parse_v1(*headers)
    assert isinstance(one, Image)
    assert isinstance(other, Image)
    for attribute in ("status", "container_format", "disk_format", "project_id"):
        assert getattr(one, attribute)
        assert getattr(one, attribute) is getattr(other, attribute)
    assert one.properties[0][0] is other.properties[0][0]
