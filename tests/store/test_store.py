import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from exporter.model.changes import Change, ChangeEvent
from exporter.model.cloud import CloudState
from exporter.model.observation import ALL_ASPECTS, NEVER_POLLED
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target, TargetKey
from exporter.store import Changes, Store
from tests.support.images import ACTIVE, MAX_STALE, START

ONE = Target("lab", "1", "one")
TWO = Target("lab", "2", "two")
OTHER = Target("prod", "1", "one")
LAB = CloudState("lab", 60.0)
PROD = CloudState("prod", 30.0)
FOUND = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE)
GONE = NEVER_POLLED.with_outcome(Gone(), START, MAX_STALE)


@pytest.fixture
def store() -> Store:
    """Return a store of three images of two clouds."""
    store = Store()
    store.add_cloud(LAB, [TWO, ONE])
    store.add_cloud(PROD, [OTHER])
    return store


def let_other_threads_run() -> None:
    """Sleep for a moment, so that a missing lock becomes visible."""
    time.sleep(0.0001)


@dataclass(frozen=True, slots=True)
class SlowState(CloudState):
    """A state that is slow to construct."""

    def __post_init__(self) -> None:
        """Let other threads run before the state exists."""
        let_other_threads_run()


class SlowName(str):
    """Name of a cloud that is slow to look up."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Return the hash of the text."""
        let_other_threads_run()
        return super().__hash__()


class CountedName(str):
    """Name of a cloud that counts how often it is looked up."""

    __slots__ = ()
    lookups = 0

    def __hash__(self) -> int:
        """Return the hash of the text."""
        CountedName.lookups += 1
        return super().__hash__()


def test_new_store_is_empty() -> None:
    store = Store()
    assert (store.observations(), store.clouds(), store.targets()) == ([], [], {})


def test_targets_and_clouds_are_in_order_of_addition_and_unknown_before_a_poll(
    store: Store,
) -> None:
    assert store.observations() == [(TWO, NEVER_POLLED), (ONE, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert list(store.targets().items()) == [(target.key, target) for target in (TWO, ONE, OTHER)]
    assert store.clouds() == [replace(LAB, targets=2), replace(PROD, targets=1)]


def test_same_image_id_in_another_cloud_has_its_own_observation(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    store.observe(OTHER.key, GONE)
    assert store.observation(ONE.key) is FOUND
    assert store.observation(OTHER.key) is GONE
    assert store.observations() == [(TWO, NEVER_POLLED), (ONE, FOUND), (OTHER, GONE)]


def test_remaining_targets_keep_their_observations_and_the_order_of_clouds(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    store.observe(TWO.key, GONE)
    renamed, new = replace(ONE, alias="renamed"), Target("lab", "new", "new", "discovered")
    store.set_targets("lab", [renamed, new])
    assert store.observations() == [(renamed, FOUND), (new, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert [cloud.targets for cloud in store.clouds()] == [2, 1]


def test_set_targets_returns_new_targets_but_not_renamed_ones(store: Store) -> None:
    new = Target("lab", "new", "new")
    assert store.set_targets("lab", [replace(ONE, alias="renamed"), new]) == (new,)
    assert store.set_targets("lab", [replace(ONE, alias="renamed"), new]) == ()
    assert store.set_targets("lab", [new]) == ()


def test_removed_cloud_loses_its_targets_and_starts_empty_when_added_again(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    layout, _ = store.take_changes(0.0)
    store.observe(ONE.key, GONE)
    store.remove_cloud("lab")
    assert store.observations() == [(OTHER, NEVER_POLLED)]
    assert [cloud.name for cloud in store.clouds()] == ["prod"]
    assert store.current([ONE, TWO, OTHER]) == [(OTHER, NEVER_POLLED)]
    assert store.take_changes(0.0) == Changes(layout + 1, {})
    with pytest.raises(KeyError):
        store.remove_cloud("lab")
    store.add_cloud(LAB, [ONE])
    assert store.current([ONE]) == [(ONE, NEVER_POLLED)]


def test_reordering_clouds_reorders_targets_and_changes_the_layout(store: Store) -> None:
    layout, _ = store.take_changes(0.0)
    store.reorder_clouds(["lab", "prod"])
    assert store.take_changes(0.0).layout == layout
    store.reorder_clouds(["prod", "lab"])
    assert store.take_changes(0.0).layout == layout + 1
    assert [cloud.name for cloud in store.clouds()] == ["prod", "lab"]
    assert [target for target, _ in store.observations()] == [OTHER, TWO, ONE]


def test_observation_of_a_removed_target_is_available_until_changes_are_taken(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    layout, _ = store.take_changes(0.0)
    store.observe(ONE.key, GONE)
    store.remove_target(ONE.key)
    assert ONE.key not in store.targets()
    assert store.cloud("lab").targets == 1
    assert store.observation(ONE.key) is GONE
    assert store.take_changes(0.0) == Changes(layout + 1, {})
    with pytest.raises(KeyError):
        store.observation(ONE.key)
    with pytest.raises(KeyError):
        store.remove_target(ONE.key)
    store.set_targets("lab", [ONE, TWO])
    assert store.observation(ONE.key) is NEVER_POLLED


def test_target_that_is_removed_and_added_again_starts_unknown(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    store.remove_target(ONE.key)
    store.set_targets("lab", [TWO, ONE])
    store.take_changes(0.0)
    assert store.observation(ONE.key) is NEVER_POLLED


def test_setting_the_same_targets_is_not_a_change(store: Store) -> None:
    before = store.take_changes(0.0)
    store.set_targets(
        "lab", [target for target in store.targets().values() if target.cloud == "lab"]
    )
    assert store.take_changes(0.0) == Changes(before.layout, {})


def test_update_of_a_cloud_keeps_other_fields_and_other_clouds(store: Store) -> None:
    store.update_cloud("lab", lambda state: replace(state, api_up=True, polls=5))
    store.update_cloud("lab", lambda state: replace(state, polls=6))
    assert store.cloud("lab") == replace(LAB, targets=2, api_up=True, polls=6)
    assert store.cloud("prod") == replace(PROD, targets=1)


@pytest.mark.parametrize(
    ("read", "error"),
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
def test_unknown_target_or_cloud_raises_key_error(
    store: Store, read: Callable[[Store], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        read(store)


def test_misspelt_field_of_a_cloud_does_not_type_check(store: Store) -> None:
    """Mypy reports the ignore as unused if it ever does."""
    with pytest.raises(TypeError):
        store.update_cloud("lab", lambda state: replace(state, pools=1))  # type: ignore[call-arg]  # as above


def test_values_read_before_a_change_do_not_change(store: Store) -> None:
    observations, clouds, targets = store.observations(), store.clouds(), store.targets()
    store.observe(ONE.key, FOUND)
    store.update_cloud("lab", lambda state: replace(state, polls=5))
    store.add_cloud(CloudState("new", 60.0), [Target("new", "1", "one")])
    assert observations == [(TWO, NEVER_POLLED), (ONE, NEVER_POLLED), (OTHER, NEVER_POLLED)]
    assert clouds == [replace(LAB, targets=2), replace(PROD, targets=1)]
    assert len(targets) == 3


def run_together(*functions: Callable[[], object]) -> list[BaseException]:
    """Call all functions at the same time, and return the exceptions that they raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            function()
        except BaseException as error:  # noqa: BLE001  # returned to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return errors


def test_concurrent_updates_of_a_cloud_are_not_lost() -> None:
    store = Store()
    store.add_cloud(SlowState("lab", 60.0), [])
    lost: list[str] = []

    def update(field: str) -> None:
        def count(state: CloudState) -> CloudState:
            return replace(state, **{field: getattr(state, field) + 1})

        for number in range(1, 101):
            store.update_cloud("lab", count)
            let_other_threads_run()
            if getattr(store.cloud("lab"), field) != number:
                lost.append(field)

    assert run_together(lambda: update("polls"), lambda: update("retries")) == []
    assert lost == []


def test_readers_see_consistent_state_while_clouds_are_added(store: Store) -> None:
    store.add_cloud(
        CloudState("slow", 60.0), [Target(SlowName("slow"), str(n), "") for n in range(9)]
    )

    def add() -> None:
        for number in range(100):
            store.add_cloud(CloudState(f"{number}", 60.0), [Target(SlowName(number), "1", "one")])

    def read() -> None:
        for _ in range(20):
            assert len(store.observations()) >= 12
            assert len(store.targets()) >= 12
            assert len(store.clouds()) >= 3

    assert run_together(add, read) == []
    assert len(store.observations()) == 112


def test_changes_of_an_image_are_remembered_until_it_is_removed(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    assert store.find(ONE.key) == (ONE, FOUND, store.cloud("lab"), [])
    gone = FOUND.with_outcome(Gone(), START, MAX_STALE)
    store.observe(ONE.key, gone)
    store.observe(ONE.key, gone.with_outcome(Gone(), START, MAX_STALE))
    image = store.find(ONE.key)
    assert image is not None
    (event,) = image.changes
    assert (event.at, event.changes) == (START, (Change("existence", "there", "gone"),))
    store.remove_target(ONE.key)
    assert store.find(ONE.key) is None
    store.set_targets("lab", [ONE])
    image = store.find(ONE.key)
    assert image is not None
    assert image.changes == []


def test_change_of_a_poll_that_was_retracted_is_not_remembered(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    gone = FOUND.with_outcome(Gone(), START, MAX_STALE)
    store.observe(ONE.key, gone)
    failed = gone.with_replaced_outcome(FOUND, Failed("unconfirmed"), START, MAX_STALE)
    store.observe(ONE.key, failed)
    image = store.find(ONE.key)
    assert image is not None
    assert image.changes == []


LONG_NAME = replace(ACTIVE, name="x" * 600)
CUT = NEVER_POLLED.with_outcome(Found(LONG_NAME), START, MAX_STALE)


def cut_images(store: Store) -> dict[str, int]:
    """Return the number of images with cut labels of each cloud."""
    return {cloud.name: cloud.cut_images for cloud in store.clouds()}


def test_images_with_cut_labels_are_counted(store: Store) -> None:
    for target in (ONE, TWO):
        store.observe(target.key, CUT)
    assert cut_images(store) == {"lab": 2, "prod": 0}
    store.observe(ONE.key, CUT)
    store.observe(TWO.key, GONE)
    assert cut_images(store) == {"lab": 1, "prod": 0}
    store.observe(ONE.key, FOUND)
    assert cut_images(store) == {"lab": 0, "prod": 0}


def test_new_limit_changes_the_number_of_images_with_cut_labels(store: Store) -> None:
    store.observe(ONE.key, CUT)
    store.set_targets("lab", [TWO, replace(ONE, label_value_limit=600)])
    assert cut_images(store)["lab"] == 0
    store.set_targets("lab", [TWO, ONE])
    assert cut_images(store)["lab"] == 1


def test_removed_image_has_no_cut_labels(store: Store) -> None:
    for target in (ONE, TWO, OTHER):
        store.observe(target.key, CUT)
    store.remove_target(TWO.key)
    assert cut_images(store) == {"lab": 1, "prod": 1}
    store.set_targets("lab", [TWO])
    assert cut_images(store) == {"lab": 0, "prod": 1}
    store.remove_cloud("prod")
    store.add_cloud(PROD, [OTHER])
    assert cut_images(store) == {"lab": 0, "prod": 0}


def test_restored_observations_and_changes_are_those_of_an_earlier_process(store: Store) -> None:
    store.take_changes(0.0)
    at = START._replace(wall=START.wall + 60.0)
    late = ChangeEvent(at, (Change("status", "queued", "active"),), "req-2")
    early = ChangeEvent(START, (Change("status", "active", "queued"),), "req-1")
    unknown = TargetKey("lab", "unknown")
    store.restore({ONE.key: FOUND, unknown: FOUND}, [(ONE.key, late), (ONE.key, early)])
    image = store.find(ONE.key)
    assert image is not None
    assert (image.observation, list(image.changes)) == (FOUND, [late, early])
    assert store.observation(TWO.key) == NEVER_POLLED
    assert not store.has_target(unknown)
    assert store.take_changes(0.0).aspects == {ONE.key: ALL_ASPECTS}


def test_restored_images_with_cut_labels_are_counted(store: Store) -> None:
    store.set_targets("lab", [replace(ONE, label_value_limit=3)])
    store.restore({ONE.key: FOUND}, [])
    assert store.cloud("lab").cut_images == 1


def test_revision_differs_after_every_change(store: Store) -> None:
    changes: list[Callable[[], object]] = [
        lambda: store.observe(ONE.key, FOUND),
        lambda: store.observe(ONE.key, replace(FOUND, polled_at=START._replace(wall=0.0))),
        lambda: store.update_cloud("lab", lambda state: replace(state, contradictions=1)),
        lambda: store.set_targets("lab", [ONE]),
        lambda: store.remove_target(ONE.key),
    ]
    revisions = [store.revision]
    for change in changes:
        change()
        revisions.append(store.revision)
    assert len(set(revisions)) == len(revisions)
    assert store.revision == revisions[-1]


def test_only_polls_that_show_a_change_count_as_changes_of_images(store: Store) -> None:
    store.observe(ONE.key, FOUND)
    store.update_cloud("lab", lambda state: replace(state, contradictions=1))
    assert store.image_changes == 0
    store.observe(ONE.key, replace(FOUND, changed_at=START))
    assert store.image_changes == 1


def test_taking_changes_visits_no_targets_that_have_not_changed() -> None:
    store = Store()
    name = CountedName("lab")
    store.add_cloud(CloudState(name, 60.0), [Target(name, f"{n}", "one") for n in range(100)])
    store.take_changes(0.0)
    CountedName.lookups = 0
    store.take_changes(0.0)
    assert CountedName.lookups == 0
