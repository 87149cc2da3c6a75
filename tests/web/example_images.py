"""Example stores: one with an image in every situation, and one with very many images."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from exporter.model.cloud import CloudState
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found, Gone, GoneEvidence, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.support.images import ACTIVE, MAX_STALE, START

NOW = Instant(START.monotonic + 7200.0, START.wall + 7200.0)
"""Two hours after ``START``."""

HOSTILE = "</td><script>document.title='run'</script>\"'&<img src=x onerror=alert(1)>"
REVERSED = "evil\u202egnp.exe\u2066\u200f"
CONTROLS = "bell\x07 esc\x1b[31m nul\x00 line\r\nfeed\u2028 del\x7f"
LONG = "x" * 255
RIGHT_TO_LEFT = "צילום שרת نظام"
FORMER_NAMES = {RIGHT_TO_LEFT: "اسم قديم"}
"""Names before a rename, by the current name."""

REQUEST_ID = "req-01234567-89ab-cdef-0123-456789abcdef"
TIMEOUT = Failed("timeout", "no response in 10 s")
UNAVAILABLE = Failed("server_error", "HTTP 503", REQUEST_ID)


class Access(NamedTuple):
    """The settings of a cloud with which a command line signs in."""

    cloud: str | None = None
    region: str | None = None
    endpoint: str | None = None


ACCESSES = MappingProxyType({"first": Access("first", "eu-1"), "second": Access()})
"""The access to each cloud of the example images."""

EVIDENCE = GoneEvidence(
    NOW.monotonic - 640,
    rechecks=1,
    probes=2,
    controls=("id-of-fine",),
    connections=("10.0.0.9:40000 - 10.0.0.1:9292", "10.0.0.9:40002 - 10.0.0.2:9292"),
    request_ids=("req-1", "req-2"),
)

PollHistory = tuple[tuple[float, Outcome], ...]
"""Outcomes of polls, each with its age in seconds at ``NOW``."""


def found(**fields: object) -> Found:
    """Return an outcome with an image that differs from ``ACTIVE`` in these fields."""
    return Found(replace(ACTIVE, **fields), REQUEST_ID)  # type: ignore[arg-type]  # of the fields' types


POLL_HISTORIES: Mapping[str, PollHistory] = MappingProxyType(
    {
        "fine": ((7000, found()), (12, found())),
        "gone": ((7000, found()), (600, Gone(REQUEST_ID, EVIDENCE)), (12, Gone(REQUEST_ID))),
        "deleted": ((7000, found()), (300, found(status="deleted", deleted=True, deleted_at=5e8))),
        "deactivated": ((7000, found()), (60, found(status="deactivated", hidden=True))),
        "saving": ((20, found(status="saving", size_bytes=0, digests=())),),
        "unexpected": ((7000, found()), (90, found(protected=False, public=True, size_bytes=1))),
        "wanted": ((12, found(status="deactivated")),),
        "odd": ((12, found(status="rearranging")),),
        "failing": ((500, found()), (12, UNAVAILABLE)),
        "stale": ((3000, found()), (12, TIMEOUT)),
        "refused": ((12, Failed("forbidden", "HTTP 403", REQUEST_ID)),),
        "new": (),
        "bare": ((12, Found(replace(ACTIVE, name=None, size_bytes=None, protected=None))),),
    }
)
"""Images of the first cloud, by alias."""

HOSTILE_NAMES = MappingProxyType(
    {
        "hostile": HOSTILE,
        "reversed": REVERSED,
        "controls": CONTROLS,
        "long": LONG,
        "rtl": RIGHT_TO_LEFT,
    }
)
"""Names of the images of the second cloud, by image ID; these images have no alias."""

EXPECTATIONS: Mapping[str, tuple[tuple[str, object], ...]] = MappingProxyType(
    {
        "unexpected": (("protected", True), ("public", False), ("status", ("active",))),
        "wanted": (("status", ("active", "deactivated")),),
        "fine": (("status", ("active",)), ("public", False)),
        "bare": (("protected", True),),
    }
)
"""Expectations of images of the first cloud, by alias."""

FIRST_CLOUD = CloudState(
    "first",
    60.0,
    api_up=True,
    last_cycle_at=NOW.wall - 12,
    last_cycle_duration=48.25,
    next_cycle_at=NOW.wall + 48,
    api_version="v1",
    token_expires_at=NOW.wall + 3 * 3600,
    authentications=2,
)
SECOND_CLOUD = CloudState(
    "second",
    30.0,
    api_up=False,
    breaker_open=True,
    last_cycle_at=NOW.wall - 20,
    last_cycle_duration=30.0,
    next_cycle_at=NOW.wall + 10,
    cycles_skipped=2,
    api_version="v2",
    token_expires_at=NOW.wall - 60,
    authentications=5,
    authentication_failures=3,
    auth_failure=Failed("unauthorized", "HTTP 401 from Keystone"),
    discovery_interval=300.0,
    discovery_failure=Failed("timeout", "no response in 10 s"),
    discovered_at=NOW.wall - 900,
    resolved={"ubuntu": "hostile"},
    resolved_changes={"ubuntu": 1, "debian": 0},
    contradictions=3,
    contradicted_at=NOW.wall - 300,
)


def add_polled_cloud(
    store: Store, cloud: CloudState, images: Iterable[tuple[Target, PollHistory]]
) -> None:
    """Watch a cloud in the store, and replay the polls of its images."""
    histories = dict(images)
    store.add_cloud(cloud, histories)
    for target, history in histories.items():
        observation = NEVER_POLLED
        for age, outcome in history:
            polled_at = Instant(NOW.monotonic - age, NOW.wall - age)
            observation = observation.with_outcome(outcome, polled_at, MAX_STALE)
            store.observe(target.key, observation)


def example_store() -> Store:
    """Return a store with two clouds.

    The first has an image in every situation. The second is down, and its images have hostile
    names.
    """
    store = Store()
    add_polled_cloud(
        store,
        FIRST_CLOUD,
        (
            (Target("first", f"id-of-{alias}", alias, expect=EXPECTATIONS.get(alias, ())), history)
            for alias, history in POLL_HISTORIES.items()
        ),
    )
    add_polled_cloud(
        store,
        SECOND_CLOUD,
        (
            (
                Target("second", image_id, image_id, "discovered"),
                (
                    (50, found(name=FORMER_NAMES.get(name, name))),
                    (40, found(name=name)),
                    (5, Failed("connection", name)),
                ),
            )
            for image_id, name in HOSTILE_NAMES.items()
        ),
    )
    return store


def large_store(count: int) -> Store:
    """Return a store with ``count`` images of one cloud, of which every hundredth is gone."""
    store = Store()
    images: list[tuple[Target, PollHistory]] = []
    for number in range(count):
        image_id = f"{number:08d}-b48a-4639-8a88-08be3b9b5d78"
        history: PollHistory = (
            (7000, found(size_bytes=number)),
            (12, found(size_bytes=number)),
        )
        if number % 100 == 0:
            history = ((7000, found()), (600 + number / 100, Gone(REQUEST_ID)))
        images.append((Target("first", image_id, f"image-{number:05d}"), history))
    add_polled_cloud(store, FIRST_CLOUD, images)
    return store
