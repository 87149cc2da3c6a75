"""Exact error lines of expectations."""

from pathlib import Path

import pytest

from tests.config.error_lines import (
    CLOUDS,
    DURATION,
    LABEL,
    MAPPING,
    OF_EXPECT,
    cloud,
    discover,
    errors_of_file,
    image,
)

A_SIZE = "a size such as 512MiB or 1536KiB, or a range such as 1GiB..4GiB, 1GiB.. or ..4GiB"
UNITS = "B, KiB, MiB, GiB, TiB, PiB, EiB"
ALGORITHMS = (
    "sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, sha3_384, sha3_512, blake2b, blake2s"
)

ONE_MISTAKE = {
    # expectations; those above are an image's
    **{
        f"expectation, {what}": (f"expect: {text}\n{CLOUDS}", f"expect{line}")
        for what, text, line in (
            ("no mapping", "[a]", f": a list is not a mapping; {MAPPING}"),
            (
                "unknown",
                "{tags: x}",
                f".tags: unknown key; did you mean status?; accepted: {OF_EXPECT}",
            ),
            (
                "exists",
                "{exists: yes please}",
                ".exists: 'yes please' is not accepted; accepted: true or false",
            ),
            (
                "visibility",
                "{visibility: secret}",
                ".visibility: 'secret' is not accepted; "
                "accepted: public, private, shared, community",
            ),
            (
                "no visibility",
                "{visibility: []}",
                ".visibility: an empty list; accepted: at least one entry",
            ),
            ("hidden", "{hidden: 0}", ".hidden: 0 is not accepted; accepted: true or false"),
            (
                "checksum",
                "{checksum: abc}",
                ".checksum: 'abc' is not an MD5; accepted: 32 hexadecimal digits",
            ),
            (
                "checksum of digits",
                f"{{checksum: {'1' * 32}}}",
                f".checksum: {'1' * 32} must be a string; quote it",
            ),
            (
                "checksum of no digits",
                f"{{checksum: {'g' * 32}}}",
                f".checksum: '{'g' * 32}' is not an MD5; accepted: 32 hexadecimal digits",
            ),
            (
                "hash",
                "{hash: abc}",
                ".hash: 'abc' is not a mapping; accepted: a mapping of algorithms to digests",
            ),
            ("no hash", "{hash: {}}", ".hash: an empty list; accepted: at least one entry"),
            (
                "hash of MD5",
                f"{{hash: {{md5: {'a' * 32}}}}}",
                ".hash: md5 is not accepted; use checksum instead",
            ),
            (
                "hash, unknown algorithm",
                "{hash: {sha-256: a}}",
                f".hash: sha-256 is not an algorithm; accepted: {ALGORITHMS}",
            ),
            (
                "hash, algorithm that is no text",
                "{hash: {~: a}}",
                f".hash: ~ is not an algorithm; accepted: {ALGORITHMS}",
            ),
            (
                "hash, digest",
                "{hash: {sha256: abc}}",
                ".hash: sha256: 'abc' is not a sha256 digest; accepted: 64 hexadecimal digits",
            ),
            ("size", "{size: large}", f".size: 'large' is not a size; accepted: {A_SIZE}"),
            (
                "size, null in a list",
                "{size: [~]}",
                f".size: a list is not a size; accepted: {A_SIZE}",
            ),
            ("size without a unit", "{size: 4096}", ".size: 4096 has no unit; write 4096B"),
            (
                "size without a unit, as text",
                "{size: '4096'}",
                f".size: '4096' has no unit; accepted: {UNITS}",
            ),
            ("disk without a unit", "{min_disk: 40}", ".min_disk: 40 has no unit; write 40GiB"),
            (
                "disk of no whole unit",
                "{min_disk: 512MiB..1023MiB}",
                ".min_disk: '512MiB..1023MiB' matches no image: the Image service counts whole "
                "GiB; accepted: such as 2GiB, or a range with one in it",
            ),
            ("memory without a unit", "{min_ram: 512}", ".min_ram: 512 has no unit; write 512MiB"),
            (
                "size, unknown unit",
                "{size: 4GB}",
                f".size: '4GB' has the unknown unit GB; accepted: {UNITS}",
            ),
            (
                "size, a fraction",
                "{size: 1.5GiB}",
                f".size: '1.5GiB' is not a size; accepted: {A_SIZE}",
            ),
            ("size below 0", "{size: -1}", f".size: -1 is not a size; accepted: {A_SIZE}"),
            ("size, a boolean", "{size: true}", f".size: true is not a size; accepted: {A_SIZE}"),
            (
                "size too large",
                "{size: 9EiB}",
                f".size: '9EiB' is larger than 2^63 - 1 bytes; accepted: {A_SIZE}",
            ),
            (
                "range without ends",
                "{size: ..}",
                f".size: '..' is a range without ends; accepted: {A_SIZE}",
            ),
            (
                "range the wrong way round",
                "{size: 4GiB..1GiB}",
                ".size: '4GiB..1GiB' is a range whose end is below its beginning; "
                f"accepted: {A_SIZE}",
            ),
            (
                "range with a bad end",
                "{size: 1GiB..4}",
                f".size: '1GiB..4' has no unit; accepted: {UNITS}",
            ),
            (
                "range of three",
                "{size: 1B..2B..3B}",
                f".size: '1B..2B..3B' is not a size; accepted: {A_SIZE}",
            ),
            (
                "disk format",
                "{disk_format: 2}",
                ".disk_format: 2 must be a string; quote it",
            ),
            ("owner", "{owner: ''}", f".owner: '' is not accepted; {LABEL}"),
            ("name", "{name: [a]}", f".name: a list is not a string; {LABEL}"),
            (
                "properties",
                "{properties: [a]}",
                ".properties: a list is not a mapping; "
                "accepted: a mapping of property names to values",
            ),
            (
                "no property",
                "{properties: {}}",
                ".properties: an empty list; accepted: at least one entry",
            ),
            (
                "a property that is none",
                "{properties: {min_ram: a}}",
                ".properties: min_ram is not a custom property, but a field of every image",
            ),
            (
                "a property's value",
                "{properties: {a: 1}}",
                ".properties: a: 1 must be a string; quote it",
            ),
            (
                "max_unchanged",
                "{max_unchanged: soon}",
                f".max_unchanged: 'soon' is not a duration; {DURATION}",
            ),
            (
                "public and another visibility",
                "{public: true, visibility: private}",
                ".visibility: 'private' contradicts public: true; "
                "accepted: one of the two, or both alike",
            ),
            (
                "not public, and public",
                "{public: false, visibility: [public]}",
                ".visibility: a list contradicts public: false; "
                "accepted: one of the two, or both alike",
            ),
            (
                "exists: false and more",
                "{exists: false, status: active}",
                ".status: excluded by exists: false; accepted: that alone",
            ),
        )
    },
    "expectation of a cloud": (
        cloud("expect: {size: 1}"),
        "clouds[0].expect.size: 1 has no unit; write 1B",
    ),
    "expectations of a cloud that contradict each other": (
        cloud("expect: {exists: false, hidden: true}"),
        "clouds[0].expect.hidden: excluded by exists: false; accepted: that alone",
    ),
    "expectation of a discovery": (
        discover("{name: a, expect: {min_ram: 1}}"),
        "clouds[0].discover[0].expect.min_ram: 1 has no unit; write 1MiB",
    ),
    "expectations of a discovery that contradict each other": (
        discover("{name: a, expect: {public: true, visibility: shared}}"),
        "clouds[0].discover[0].expect.visibility: 'shared' contradicts public: true; "
        "accepted: one of the two, or both alike",
    ),
    "expectations of an image that contradict each other": (
        image("{id: b, expect: {exists: false, name: a}}"),
        "clouds[0].images[0].expect.name: excluded by exists: false; accepted: that alone",
    ),
}


@pytest.mark.parametrize(("content", "line"), ONE_MISTAKE.values(), ids=ONE_MISTAKE)
def test_error_in_the_file_is_one_exact_line(
    tmp_path: Path, content: str | bytes, line: str
) -> None:
    assert errors_of_file(tmp_path / "exporter.yml", content) == [line]
