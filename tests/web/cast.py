"""A store with an image in every situation, and one with very many."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from exporter.model.cloud import CloudState
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.model.samples import ACTIVE, MAX_STALE, START

NOW = Instant(START.monotonic + 7200.0, START.wall + 7200.0)
"""Two hours after ``START``."""

HOSTILE = "</td><script>document.title='run'</script>\"'&<img src=x onerror=alert(1)>"
REVERSED = "evil\u202egnp.exe\u2066\u200f"
CONTROLS = "bell\x07 esc\x1b[31m nul\x00 line\r\nfeed\u2028 del\x7f"
LONG = "x" * 255
MIDDLE_EAST = "צילום שרת نظام"
BEFORE = {MIDDLE_EAST: "اسم قديم"}
"""Names that images had before the one that they have."""

REQUEST = "req-01234567-89ab-cdef-0123-456789abcdef"
DOWN = Failed("timeout", "no answer in 10 s")
REFUSED = Failed("server_error", "HTTP 503", REQUEST)

Script = tuple[tuple[float, Outcome], ...]
"""What polls came to, and how many seconds before ``NOW``."""


def found(**fields: object) -> Found:
    """An answer that describes an image which differs from the usual one by these fields."""
    return Found(replace(ACTIVE, **fields), REQUEST)  # type: ignore[arg-type]  # of the fields' types


LIVES: Mapping[str, Script] = MappingProxyType(
    {
        "fine": ((7000, found()), (12, found())),
        "gone": ((7000, found()), (600, Gone(REQUEST)), (12, Gone(REQUEST))),
        "deleted": ((7000, found()), (300, found(status="deleted", deleted=True, deleted_at=5e8))),
        "deactivated": ((7000, found()), (60, found(status="deactivated", hidden=True))),
        "saving": ((20, found(status="saving", size_bytes=0, digests=())),),
        "unexpected": ((7000, found()), (90, found(protected=False, public=True, size_bytes=1))),
        "wanted": ((12, found(status="deactivated")),),
        "odd": ((12, found(status="rearranging")),),
        "failing": ((500, found()), (12, REFUSED)),
        "stale": ((3000, found()), (12, DOWN)),
        "refused": ((12, Failed("forbidden", "HTTP 403", REQUEST)),),
        "new": (),
        "bare": ((12, Found(replace(ACTIVE, name=None, size_bytes=None, protected=None))),),
    }
)
"""The life of each image of the first cloud, by its alias."""

NAMES = MappingProxyType(
    {
        "hostile": HOSTILE,
        "reversed": REVERSED,
        "controls": CONTROLS,
        "long": LONG,
        "rtl": MIDDLE_EAST,
    }
)
"""Names of the images of the second cloud, which have no alias, by their IDs."""

EXPECT: Mapping[str, tuple[tuple[str, object], ...]] = MappingProxyType(
    {
        "unexpected": (("protected", True), ("public", False), ("status", ("active",))),
        "wanted": (("status", ("active", "deactivated")),),
        "fine": (("status", ("active",)), ("public", False)),
        "bare": (("protected", True),),
    }
)

FIRST = CloudState(
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
SECOND = CloudState(
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
    sign_in_failure="unauthorized: HTTP 401 from Keystone",
    discovery_interval=300.0,
    discovery_failure=Failed("timeout", "no answer in 10 s"),
    discovered_at=NOW.wall - 900,
    resolved={"ubuntu": "hostile"},
    resolved_changes={"ubuntu": 1, "debian": 0},
)


def watched(cloud: CloudState, lives: Iterable[tuple[Target, Script]], store: Store) -> None:
    """Adds a cloud whose images have had these lives."""
    told = tuple(lives)
    store.add_cloud(cloud, [target for target, _ in told])
    for target, script in told:
        seen = NEVER_POLLED
        for ago, outcome in script:
            seen = seen.with_outcome(
                outcome, Instant(NOW.monotonic - ago, NOW.wall - ago), MAX_STALE
            )
        store.observe(target.key, seen)


def cast() -> Store:
    """Two clouds: one with an image in every situation, one that is down, with hostile names."""
    store = Store()
    watched(
        FIRST,
        (
            (Target("first", f"id-of-{alias}", alias, expect=EXPECT.get(alias, ())), script)
            for alias, script in LIVES.items()
        ),
        store,
    )
    watched(
        SECOND,
        (
            (
                Target("second", image_id, image_id, "discovered"),
                (
                    (50, found(name=BEFORE.get(name, name))),
                    (40, found(name=name)),
                    (5, Failed("connection", name)),
                ),
            )
            for image_id, name in NAMES.items()
        ),
        store,
    )
    return store


def crowd(count: int) -> Store:
    """So many images of one cloud, of which every hundredth is gone."""
    store = Store()
    watched(
        FIRST,
        (
            (
                Target("first", f"{number:08d}-b48a-4639-8a88-08be3b9b5d78", f"image-{number:05d}"),
                ((7000, found(size_bytes=number)), (12, found(size_bytes=number)))
                if number % 100
                else ((7000, found()), (600 + number / 100, Gone(REQUEST))),
            )
            for number in range(count)
        ),
        store,
    )
    return store
