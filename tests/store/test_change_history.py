import tracemalloc
from collections.abc import Sequence

from exporter.model.changes import Change
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import TargetKey
from exporter.store.change_history import MAX_TOTAL, MAX_VALUE_LENGTH, ChangeHistory

ONE, TWO, THREE = (TargetKey("lab", name) for name in ("one", "two", "three"))


def shown(number: int, *changes: Change) -> Observation:
    """Return the observation after a poll that showed changes."""
    return Observation(
        changed_at=Instant(number, number),
        new_changes=changes or (Change("status", "active", "deactivated"),),
        request_id=f"req-{number}",
    )


def times(history: ChangeHistory, key: TargetKey) -> Sequence[float]:
    """Return the times of the remembered polls of an image."""
    return [event.at.wall for event in history.events(key)]


def test_newest_change_comes_first() -> None:
    history = ChangeHistory()
    assert history.events(ONE) == []
    history.record(ONE, shown(1))
    history.record(TWO, shown(2))
    change = Change("protected", True, False)
    history.record(ONE, shown(3, change))
    newest, oldest = history.events(ONE)
    assert newest == (Instant(3, 3), (change,), "req-3")
    assert oldest.at == Instant(1, 1)
    assert times(history, TWO) == [2]


def test_oldest_change_of_an_image_is_forgotten_first() -> None:
    history = ChangeHistory(max_of_image=2)
    for number in range(5):
        history.record(ONE, shown(number))
    history.record(TWO, shown(9))
    assert (times(history, ONE), times(history, TWO)) == ([4, 3], [9])


def test_oldest_changes_of_all_images_are_forgotten_first() -> None:
    history = ChangeHistory(max_of_image=3, max_total=4)
    for number, key in enumerate((ONE, TWO, TWO, THREE, THREE, TWO)):
        history.record(key, shown(number))
    assert [times(history, key) for key in (ONE, TWO, THREE)] == [[], [5, 2], [4, 3]]
    history.record(ONE, shown(6))
    assert [times(history, key) for key in (ONE, TWO, THREE)] == [[6], [5], [4, 3]]


def test_forgotten_images_make_room_for_others() -> None:
    history = ChangeHistory(max_total=2)
    history.record(ONE, shown(1))
    history.record(TWO, shown(2))
    history.forget(ONE)
    history.forget(THREE)
    history.record(THREE, shown(3))
    assert [times(history, key) for key in (ONE, TWO, THREE)] == [[], [2], [3]]


def test_change_whose_poll_was_retracted_is_forgotten() -> None:
    history = ChangeHistory()
    history.record(ONE, shown(1))
    history.record(ONE, shown(2))
    history.record(ONE, Observation(changed_at=Instant(1, 1)))
    assert times(history, ONE) == [1]
    history.record(ONE, Observation())
    history.record(ONE, Observation())
    assert times(history, ONE) == []


def test_long_values_are_shortened() -> None:
    history = ChangeHistory()
    history.record(ONE, shown(1, Change("name", "a" * 10_000, "b")))
    (event,) = history.events(ONE)
    (change,) = event.changes
    assert (change.old, change.new) == ("a" * (MAX_VALUE_LENGTH - 1) + "…", "b")


def test_memory_of_the_longest_names_is_as_documented() -> None:
    """Characters beyond 16 bits take most: a string has four bytes for each of its characters."""
    events = 1000
    history = ChangeHistory(max_of_image=events)
    tracemalloc.start()
    try:
        for number in range(events):
            old, new = (chr(0x1F600) * MAX_VALUE_LENGTH * 2 + str(number + step) for step in (0, 1))
            digests = [f"sha512:{n:0128x}" for n in (number, number + 1)]
            changes = Change("name", old, new), Change("content", *digests)
            history.record(ONE, shown(number, *changes))
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current / events * MAX_TOTAL < 40e6
