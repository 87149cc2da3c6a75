"""The format of the state file: what is written, and what is refused."""

import gzip
import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.changes import NO_CHANGE_TIMES
from exporter.model.outcome import Found
from exporter.state import document
from exporter.state.document import FORMAT, InvalidStateError, decode, encode
from exporter.state.records import CloudRecord, DiscoveredRecord, SavedState, image_record
from tests.support.images import ACTIVE, START, TARGET, observed

CLOUD = CloudRecord(
    "lab",
    contradictions=2,
    contradicted_at=START.wall,
    contradicted_until=START.monotonic + 60.0,
    longest_run=3,
    mass_disappearance=True,
    discovered={"a": DiscoveredRecord("alias", False, 5.0, (("exists", True),), (("team", "x"),))},
    resolved={"alias": "a"},
    resolved_changes={"alias": 4},
)
STATE = SavedState(
    START, (1, 3), (CLOUD,), [image_record(TARGET.key, observed(Found(ACTIVE)), ())] * 3
)
CONTENT = b"".join(encode(STATE))
DAMAGED = "it is damaged, or not a state file"
OTHER = "it is not a state file of this version"
NEWER = "a newer version of the exporter has written it"


def compressed(content: bytes) -> bytes:
    """Return compressed content that is the same in every process."""
    return gzip.compress(content, mtime=0)


def lines() -> list[bytes]:
    return gzip.decompress(CONTENT).splitlines()


def header(**changes: object) -> bytes:
    """Return compressed content whose header has other values."""
    first, *others = lines()
    changed = json.dumps({**json.loads(first), **changes}).encode()
    return compressed(b"\n".join((changed, *others, b"")))


def test_state_is_read_as_it_was_written() -> None:
    state = decode(CONTENT)
    assert (state.saved_at, state.shard, state.clouds) == (START, (1, 3), (CLOUD,))
    assert list(state.images) == list(STATE.images)


def test_state_without_images_is_read() -> None:
    empty = SavedState(START, (0, 1), (), ())
    state = decode(b"".join(encode(empty)))
    assert (state.clouds, list(state.images)) == ((), [])


def test_more_than_a_piece_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "PIECE_BYTES", 100)
    monkeypatch.setattr(document, "STEP_BYTES", 7)
    assert list(decode(b"".join(encode(STATE))).images) == list(STATE.images)


def test_times_of_changes_are_read_and_absent_in_older_files() -> None:
    changed = observed(Found(ACTIVE), Found(replace(ACTIVE, protected=False, public=True)))
    record = image_record(TARGET.key, changed, ())
    content = b"".join(encode(SavedState(START, (0, 1), (), [record])))
    assert list(decode(content).images) == [record]
    first, line = gzip.decompress(content).splitlines()
    document = json.loads(line)
    times = document["observation"].pop("change_times")
    assert times == {"public": START.wall, "unprotected": START.wall}
    older = compressed(b"\n".join((first, json.dumps(document).encode(), b"")))
    (read,) = decode(older).images
    assert read.observation == replace(record.observation, change_times=NO_CHANGE_TIMES)
    assert read.observation.change_times is NO_CHANGE_TIMES


def test_equal_sets_of_property_names_are_one_object() -> None:
    """100,000 sets of their own would take 20 MB."""
    names = frozenset({"a", "b"})
    image = replace(ACTIVE, requested_properties=names)
    records = [image_record(TARGET.key, observed(Found(image)), ())] * 2
    state = decode(b"".join(encode(SavedState(START, (0, 1), (), records))))
    one, other = (record.observation.change_baseline.image for record in state.images)
    assert one is not None
    assert other is not None
    assert one == image
    assert one.requested_properties is other.requested_properties


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is cut off"),
        (CONTENT[:5], "it is cut off"),
        (CONTENT[:-9], "it is cut off"),
        (CONTENT[:-1], "it is cut off"),
        (CONTENT + b"\0", "something follows its end"),
        (CONTENT + CONTENT, "something follows its end"),
        (b"clouds: []\n", DAMAGED),
        (compressed(b"clouds: []\n"), OTHER),
        (compressed(b"no line end"), OTHER),
        (compressed(b""), OTHER),
        (zlib.compress(b"\n".join(lines())), DAMAGED),
        (CONTENT[:-8] + bytes(4) + CONTENT[-4:], DAMAGED),
        (header(format="other"), OTHER),
        (header(version=2, clouds="of another kind"), NEWER),
        (header(shard="0"), OTHER),
        (header(saved_at=[1.0]), OTHER),
        (compressed(b"\n".join((*lines(), b'{"cloud": 5}', b""))), OTHER),
        (compressed(lines()[0].replace(FORMAT.encode(), b"x") + b"\n"), OTHER),
    ],
)  # fmt: skip
def test_content_that_is_not_a_state_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidStateError) as error:
        decode(content)
    assert str(error.value) == problem


@given(st.data())
def test_damage_anywhere_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    """Gzip's own header has bytes without effect, such as the time."""
    position = data.draw(st.integers(0, len(CONTENT) - 1))
    value = data.draw(st.integers(0, 255))
    content = CONTENT[:position] + bytes([value]) + CONTENT[position + 1 :]
    try:
        state = decode(content)
    except InvalidStateError:
        return
    assert list(state.images) == list(STATE.images)


@given(st.binary(max_size=200), st.booleans())
def test_foreign_content_is_refused(content: bytes, is_compressed: bool) -> None:
    with pytest.raises(InvalidStateError):
        decode(compressed(content) if is_compressed else content)


@pytest.mark.parametrize(
    "sizes", [{"least": 1}, {"more": 1}, {"least": "1", "most": None}], ids=str
)
def test_sizes_of_a_wrong_form_are_refused(sizes: dict[str, object]) -> None:
    """Otherwise the exporter would not start until somebody removes the file."""
    first, *records = lines()
    header = json.loads(first)
    discovered = {"image": {"label": "image", "expect": [["size", sizes]]}}
    header["clouds"] = [{"name": "lab", "discovered": discovered}]
    with pytest.raises(InvalidStateError, match=OTHER):
        decode(compressed(b"\n".join((json.dumps(header).encode(), *records, b""))))


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud": None},
        {"observation": {"exists": "yes"}},
        {"observation": {"poll_success": 1}},
        {"observation": {"failure": {"reason": "bored"}}},
        {"observation": {"change_counts": {"status": "1"}}},
        {"observation": {"change_times": {"status": "1"}}},
        {"observation": {"change_times": [1.0]}},
        {"observation": {"change_baseline": [True, {"id": "a"}, None, None]}},
        {"observation": {"image": {"api": "v9", "id": "a", "status": "b"}}},
        {"events": [[[1.0, 2.0], "name", "req"]]},
    ],
    ids=str,
)
def test_value_of_a_wrong_type_is_refused(changes: dict[str, object]) -> None:
    first, record, *_ = lines()
    line = json.dumps({**json.loads(record), **changes}).encode()
    with pytest.raises(InvalidStateError, match=OTHER):
        decode(compressed(b"\n".join((first, line, b""))))


def test_too_large_content_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_FILE_BYTES", len(CONTENT) - 1)
    with pytest.raises(InvalidStateError, match="it is larger than"):
        decode(CONTENT)


def test_content_that_expands_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_LINE_BYTES", 1000)
    with pytest.raises(InvalidStateError, match="a line is too long"):
        decode(compressed(lines()[0] + b"\n" + b" " * 10_000_000))
