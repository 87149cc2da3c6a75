import random

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.checksum import EMPTY, Checksum, join_checksums

SIZES = st.integers(0, 300) | st.sampled_from((255, 256, 65_535, 65_536, 70_000))


@given(st.lists(SIZES, max_size=5), st.integers())
def test_joined_checksums_equal_the_checksum_of_the_joined_texts(
    sizes: list[int], seed: int
) -> None:
    generator = random.Random(seed)
    texts = [generator.randbytes(size) for size in sizes]
    assert join_checksums(map(Checksum.of, texts)) == Checksum.of(b"".join(texts))


def test_text_of_16_mebibytes_can_follow() -> None:
    large = bytes(2**24 + 5)
    assert join_checksums((Checksum.of(b"first"), Checksum.of(large))) == Checksum.of(
        b"first" + large
    )


def test_no_text_has_an_empty_checksum() -> None:
    assert join_checksums(()) == EMPTY == Checksum.of(b"")
