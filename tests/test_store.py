import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from exporter.model.cloud import CloudState
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found, Gone
from exporter.model.target import Target, TargetKey
from exporter.store import Changes, Store
from tests.model.samples import ACTIVE, MAX_STALE, START

ONE = Target("lab", "1", "one")
TWO = Target("lab", "2", "two")
OTHER = Target("prod", "1", "one")
LAB = CloudState("lab", 60.0)
PROD = CloudState("prod", 30.0)
FOUND = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE)
GONE = NEVER_POLLED.with_outcome(Gone(), START, MAX_STALE)


@pytest.fixture
def store() -> Store:
    """A store that watches three images of two clouds."""
    filled = Store()
    filled.watch(LAB, [TWO, ONE])
    filled.watch(PROD, [OTHER])
    return filled


def linger() -> None:
    """Lets other threads run for a moment, so that what is not locked is met halfway."""
    time.sleep(0.0001)


@dataclass(frozen=True, slots=True)
class SlowState(CloudState):
    """A state that takes a while to be made."""

    def __post_init__(self) -> None:
        """Lets the others run before it is there."""
        linger()


class SlowName(str):
    """A cloud's name that takes a while to be looked up."""

    __slots__ = ()

    def __hash__(self) -> int:
        """The same as of the text."""
        linger()
        return super().__hash__()


def test_a_new_store_knows_nothing() -> None:
    """No target, no observation, no cloud."""
    store = Store()
    assert (store.seen(), store.clouds(), store.targets()) == ([], [], {})


def test_what_is_watched_is_there_before_it_is_polled(store: Store) -> None:
    """Targets and clouds come in the order they were added, and nothing is known of them."""
    assert store.seen() == [(TWO, NEVER_POLLED), (ONE, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert list(store.targets().items()) == [(each.key, each) for each in (TWO, ONE, OTHER)]
    assert store.clouds() == [replace(LAB, targets=2), replace(PROD, targets=1)]


def test_an_observation_is_its_targets_only(store: Store) -> None:
    """The same ID in another cloud is another image."""
    store.observe(ONE.key, FOUND)
    store.observe(OTHER.key, GONE)
    assert store.observation(ONE.key) is FOUND
    assert store.observation(OTHER.key) is GONE
    assert store.seen() == [(TWO, NEVER_POLLED), (ONE, FOUND), (OTHER, GONE)]


def test_what_is_watched_in_a_cloud_can_be_replaced(store: Store) -> None:
    """What stays keeps its observation and its place among the clouds, even under another label."""
    store.observe(ONE.key, FOUND)
    store.observe(TWO.key, GONE)
    renamed, new = replace(ONE, alias="renamed"), Target("lab", "new", "new", "discovered")
    store.retarget("lab", [renamed, new])
    assert store.seen() == [(renamed, FOUND), (new, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert [cloud.targets for cloud in store.clouds()] == [2, 1]


def test_retargeting_tells_what_is_new(store: Store) -> None:
    """What was watched before is not, under whatever label."""
    new = Target("lab", "new", "new")
    assert store.retarget("lab", [replace(ONE, alias="renamed"), new]) == (new,)
    assert store.retarget("lab", [replace(ONE, alias="renamed"), new]) == ()
    assert store.retarget("lab", [new]) == ()


def test_a_cloud_that_is_forgotten_is_gone_with_all_that_was_watched(store: Store) -> None:
    """The others stay, who renders is told, and one that is back starts from nothing."""
    store.observe(ONE.key, FOUND)
    layout, _ = store.take_changes()
    store.observe(ONE.key, GONE)
    store.forget("lab")
    assert store.seen() == [(OTHER, NEVER_POLLED)]
    assert [cloud.name for cloud in store.clouds()] == ["prod"]
    assert store.known([ONE, TWO, OTHER]) == [(OTHER, NEVER_POLLED)]
    assert store.take_changes() == Changes(layout + 1, set())
    with pytest.raises(KeyError):
        store.forget("lab")
    store.watch(LAB, [ONE])
    assert store.known([ONE]) == [(ONE, NEVER_POLLED)]


def test_clouds_are_put_in_order(store: Store) -> None:
    """With what is watched in them; the order that they are in is no change."""
    layout, _ = store.take_changes()
    store.arrange(["lab", "prod"])
    assert store.take_changes().layout == layout
    store.arrange(["prod", "lab"])
    assert store.take_changes().layout == layout + 1
    assert [cloud.name for cloud in store.clouds()] == ["prod", "lab"]
    assert [target for target, _ in store.seen()] == [OTHER, TWO, ONE]


def test_a_target_that_is_dropped_is_known_until_changes_are_taken(store: Store) -> None:
    """Who renders may be at it just now; who comes back later starts from nothing."""
    store.observe(ONE.key, FOUND)
    layout, _ = store.take_changes()
    store.observe(ONE.key, GONE)
    store.drop(ONE.key)
    assert ONE.key not in store.targets()
    assert store.cloud("lab").targets == 1
    assert store.observation(ONE.key) is GONE
    assert store.take_changes() == Changes(layout + 1, set())
    with pytest.raises(KeyError):
        store.observation(ONE.key)
    with pytest.raises(KeyError):
        store.drop(ONE.key)
    store.retarget("lab", [ONE, TWO])
    assert store.observation(ONE.key) is NEVER_POLLED


def test_a_target_that_is_back_at_once_starts_from_nothing_and_stays(store: Store) -> None:
    """Taking the changes forgets only what is not watched."""
    store.observe(ONE.key, FOUND)
    store.drop(ONE.key)
    store.retarget("lab", [TWO, ONE])
    store.take_changes()
    assert store.observation(ONE.key) is NEVER_POLLED


def test_the_same_targets_are_no_change(store: Store) -> None:
    """So that nothing is rendered anew."""
    before = store.take_changes()
    store.retarget("lab", [each for each in store.targets().values() if each.cloud == "lab"])
    assert store.take_changes() == before


def test_the_fields_of_a_cloud_are_replaced_one_by_one(store: Store) -> None:
    """What is not named stays, and so do the other clouds."""
    store.update_cloud("lab", lambda state: replace(state, api_up=True, polls=5))
    store.update_cloud("lab", lambda state: replace(state, polls=6))
    assert store.cloud("lab") == replace(LAB, targets=2, api_up=True, polls=6)
    assert store.cloud("prod") == replace(PROD, targets=1)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        pytest.param(lambda store: store.observation(TargetKey("lab", "3")), KeyError, id="target"),
        pytest.param(lambda store: store.cloud("nowhere"), KeyError, id="cloud"),
        pytest.param(
            lambda store: store.update_cloud("nowhere", lambda state: state),
            KeyError,
            id="update",
        ),
    ],
)
def test_what_is_not_there_is_an_error(
    store: Store, ask: Callable[[Store], object], error: type[Exception]
) -> None:
    """Targets and clouds that are not watched."""
    with pytest.raises(error):
        ask(store)


def test_misspelt_field_of_a_cloud_does_not_type_check(store: Store) -> None:
    """Mypy reports the ignore as unused if it ever does."""
    with pytest.raises(TypeError):
        store.update_cloud("lab", lambda state: replace(state, pools=1))  # type: ignore[call-arg]  # as above


def test_what_was_read_does_not_change(store: Store) -> None:
    """A reader works on what was known when it asked."""
    seen, clouds, targets = store.seen(), store.clouds(), store.targets()
    store.observe(ONE.key, FOUND)
    store.update_cloud("lab", lambda state: replace(state, polls=5))
    store.watch(CloudState("new", 60.0), [Target("new", "1", "one")])
    assert seen == [(TWO, NEVER_POLLED), (ONE, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert clouds == [replace(LAB, targets=2), replace(PROD, targets=1)]
    assert len(targets) == 3


def together(*works: Callable[[], object]) -> list[BaseException]:
    """Runs all of it at the same time, and returns what went wrong."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001  # the test is told
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return errors


def test_no_update_of_a_cloud_is_lost() -> None:
    """Threads that replace different fields do not undo each other's."""
    store = Store()
    store.watch(SlowState("lab", 60.0), [])
    lost: list[str] = []

    def update(field: str) -> None:
        def count(state: CloudState) -> CloudState:
            return replace(state, **{field: getattr(state, field) + 1})

        for number in range(1, 101):
            store.update_cloud("lab", count)
            linger()
            if getattr(store.cloud("lab"), field) != number:
                lost.append(field)

    assert together(lambda: update("polls"), lambda: update("retries")) == []
    assert lost == []


def test_readers_and_writers_do_not_meet_halfway(store: Store) -> None:
    """A reader sees every target with its observation while others are being added."""
    store.watch(CloudState("slow", 60.0), [Target(SlowName("slow"), str(n), "") for n in range(9)])

    def add() -> None:
        for number in range(100):
            store.watch(CloudState(f"{number}", 60.0), [Target(SlowName(number), "1", "one")])

    def look() -> None:
        for _ in range(20):
            assert len(store.seen()) >= 12
            assert len(store.targets()) >= 12
            assert len(store.clouds()) >= 3

    assert together(add, look) == []
    assert len(store.seen()) == 112
