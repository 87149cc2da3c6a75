import random
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import checksum
from exporter.metrics.checksum import EMPTY, Checksum, combine_slowly, join_checksums

SIZES = st.integers(0, 300) | st.sampled_from((255, 256, 65_535, 65_536, 70_000))


@pytest.fixture(params=[True, False], ids=["isal", "without"], autouse=True, scope="module")
def with_isal(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Compute and join checksums with isal and without it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            pytest.importorskip("isal")
        else:
            patch.setattr(checksum, "_codec", zlib)
            patch.setattr(checksum, "_combine", combine_slowly)
        yield request.param


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
