"""Blocks of Prometheus' database, written directly.

``promtool`` reads samples as text, which takes hours for a day of 10,000 images. Here a series that
does not change costs a few bytes per chunk, and the same bytes for all series with its value.

Formats: https://github.com/prometheus/prometheus/tree/main/tsdb/docs/format
"""

import json
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Names and values of the labels of a series, sorted, with the label ``__name__``."""

SAMPLES_PER_CHUNK = 120
XOR_ENCODING = b"\x01"
STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]
"""The value with which Prometheus marks the end of a series."""

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's polynomial, with its bits reversed."""


class Chunk(NamedTuple):
    """A chunk: its first and last time, and its bytes with length and checksum."""

    first: int
    last: int
    content: bytes


class Chunks(NamedTuple):
    """All chunks of a series in a block, which other series may have, too.

    Attributes:
        number: Number of chunks.
        first: First time of the first one.
        last: Last time of the last one.
        content: The bytes of all, for the file of chunks.
        first_duration: The duration of the first one, for the index.
        others: Times and places of the others relative to those before them, for the index.
    """

    number: int
    first: int
    last: int
    content: bytes
    first_duration: bytes
    others: bytes

    @classmethod
    def of(cls, chunks: Sequence[Chunk]) -> "Chunks":
        """Join the chunks of a series."""
        others = (
            uvarint(chunk.first - before.last)
            + uvarint(chunk.last - chunk.first)
            + varint(len(before.content))
            for before, chunk in pairwise(chunks)
        )
        return cls(
            len(chunks),
            chunks[0].first,
            chunks[-1].last,
            b"".join(chunk.content for chunk in chunks),
            uvarint(chunks[0].last - chunks[0].first),
            b"".join(others),
        )


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()
_BYTES = [bytes((number,)) for number in range(0x80)]


def crc32c(content: bytes) -> bytes:
    """Return the checksum of all parts of a block."""
    table, value = _CRC_TABLE, 0xFFFFFFFF
    for byte in content:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return struct.pack(">I", value ^ 0xFFFFFFFF)


def uvarint(number: int) -> bytes:
    """Encode an unsigned number with seven bits per byte."""
    if number < len(_BYTES):
        return _BYTES[number]
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def varint(number: int) -> bytes:
    """Encode a signed number, the sign in the lowest bit."""
    return uvarint(number << 1 if number >= 0 else ~(number << 1))


def constant_chunk(times: Sequence[int], value: float) -> Chunk:
    """Return a chunk of equal values at times of the same distance."""
    head = struct.pack(">H", len(times)) + varint(times[0]) + struct.pack(">d", value)
    if len(times) == 1:
        return _framed(times, head)
    # A bit for the second value, and two for each later time and value.
    size = -(-(2 * len(times) - 3) // 8)
    return _framed(times, head + uvarint(times[1] - times[0]) + bytes(size))


def chunk(times: Sequence[int], values: Sequence[float]) -> Chunk:
    """Return a chunk of values at times of the same distance, compressed as by Gorilla."""
    before = _bits(values[0])
    head = struct.pack(">H", len(times)) + varint(times[0]) + struct.pack(">Q", before)
    if len(times) == 1:
        return _framed(times, head)
    bits, leading, length = [], 0, 0
    for number, value in enumerate(values[1:]):
        # The distance of the second time is in bytes; the change of each later one is 0.
        bits.append("0" if number else "")
        difference = _bits(value) ^ before
        before ^= difference
        if not difference:
            bits.append("0")
            continue
        new_leading = min(64 - difference.bit_length(), 31)
        trailing = (difference & -difference).bit_length() - 1
        if length and leading <= new_leading and 64 - leading - length <= trailing:
            bits.append("10")
        else:
            leading, length = new_leading, 64 - new_leading - trailing
            # A length of 64 is written as 0.
            bits.append(f"11{leading:05b}{length % 64:06b}")
        bits.append(f"{difference >> 64 - leading - length:0{length}b}")
    text = "".join(bits)
    size = -(-len(text) // 8)
    body = int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big")
    return _framed(times, head + uvarint(times[1] - times[0]) + body)


def _framed(times: Sequence[int], content: bytes) -> Chunk:
    checked = XOR_ENCODING + content
    return Chunk(times[0], times[-1], uvarint(len(content)) + checked + crc32c(checked))


def _bits(value: float) -> int:
    bits: int = struct.unpack(">Q", struct.pack(">d", value))[0]
    return bits


def write_block(folder: Path, number: int, series: Iterable[tuple[Labels, Chunks]]) -> None:
    """Write a block.

    Args:
        folder: The folder of the database.
        number: A number of the block that no other block has.
        series: All series, sorted by labels.
    """
    name = f"{number:026d}"
    block = folder / name
    (block / "chunks").mkdir(parents=True)
    entries = []
    # The only file of chunks, which may have 4 GiB.
    with (block / "chunks" / "000001").open("wb") as output:
        position = output.write(bytes.fromhex("85bd40dd 01 000000"))
        for labels, chunks in series:
            entries.append((labels, chunks, position))
            position += output.write(chunks.content)
    with (block / "index").open("wb") as output:
        _write_index(output, entries)
    meta = {
        "ulid": name,
        "minTime": min(chunks.first for _, chunks, _ in entries),
        "maxTime": max(chunks.last for _, chunks, _ in entries) + 1,
        "stats": {"numSeries": len(entries)},
        "compaction": {"level": 1, "sources": [name]},
        "version": 1,
    }
    (block / "meta.json").write_text(json.dumps(meta), "utf-8")


Entry = tuple[Labels, Chunks, int]
"""A series, its chunks, and their position in the file of chunks."""


class _Index:
    """The file of the index, as a sequence of aligned sections with checksums."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self.position = output.write(bytes.fromhex("baaad700 02"))

    def write(self, content: bytes) -> None:
        self.position += self._output.write(content)

    def align(self, size: int) -> None:
        self.write(bytes(-self.position % size))

    def write_section(self, *parts: bytes) -> int:
        """Write a section with its length and checksum, and return its position."""
        start, content = self.position, b"".join(parts)
        self.write(struct.pack(">I", len(content)))
        self.write(content)
        self.write(crc32c(content))
        return start


def _write_index(output: IO[bytes], entries: Sequence[Entry]) -> None:
    index = _Index(output)
    texts = sorted({"", *(text for labels, *_ in entries for label in labels for text in label)})
    encoded = (text.encode() for text in texts)
    symbols_at = index.write_section(
        struct.pack(">I", len(texts)), *(uvarint(len(text)) + text for text in encoded)
    )
    symbols = {text: uvarint(number) for number, text in enumerate(texts)}
    series_at = index.position
    postings = _write_series(index, entries, symbols)
    index.align(4)
    postings_at = index.position
    offsets = []
    for (name, value), references in sorted(postings.items()):
        index.align(4)
        numbers = struct.pack(f">{len(references) + 1}I", len(references), *references)
        offsets.append((name.encode(), value.encode(), index.write_section(numbers)))
    offsets_at = index.write_section(
        struct.pack(">I", len(offsets)),
        *(
            b"\x02" + uvarint(len(name)) + name + uvarint(len(value)) + value + uvarint(position)
            for name, value, position in offsets
        ),
    )
    # The second version of the format does not use the indices of labels.
    contents = struct.pack(">6Q", symbols_at, series_at, 0, postings_at, 0, offsets_at)
    index.write(contents + crc32c(contents))


def _write_series(
    index: _Index, entries: Sequence[Entry], symbols: Mapping[str, bytes]
) -> Mapping[tuple[str, str], list[int]]:
    """Write the series with their chunks, and return those that have each label."""
    postings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for labels, chunks, position in entries:
        index.align(16)
        reference = index.position // 16
        parts = [uvarint(len(labels))]
        postings["", ""].append(reference)
        for label in labels:
            postings[label].append(reference)
            parts += (symbols[label[0]], symbols[label[1]])
        parts += (uvarint(chunks.number), varint(chunks.first), chunks.first_duration)
        content = b"".join((*parts, uvarint(position), chunks.others))
        index.write(uvarint(len(content)) + content + crc32c(content))
    return postings
