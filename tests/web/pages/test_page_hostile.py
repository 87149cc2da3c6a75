"""Whatever strangers write, the page stays a page, and its elements stay its own."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.cloud import CloudState
from exporter.model.image import STATUSES, Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import REASONS, Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.json_api import image_list_document, to_ascii_json
from exporter.web.pages.query import Query
from tests.model.samples import ACTIVE, MAX_STALE
from tests.web.cast import CONTROLS, FIRST, HOSTILE, LONG, NOW, REVERSED
from tests.web.reading import TAGS, Reader, html


@pytest.mark.parametrize("text", [HOSTILE, REVERSED, CONTROLS, LONG])
def test_hostile_text_is_shown_as_text(text: str) -> None:
    """Markup is escaped, and what would not print as itself is written out."""
    shown = html(cloud="second")
    assert {tag for tag, _ in Reader(shown).elements} <= TAGS
    assert not re.search("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u202e\\u2066\\u200f]", shown)
    assert text not in shown or text == LONG


@given(st.text(max_size=50))
def test_nothing_in_a_text_becomes_part_of_the_page(text: str) -> None:
    """Whatever a name, a status, a failure or a search holds, the elements stay the same."""
    store = Store()
    target = Target("first", "an-id", "an-id")
    store.add_cloud(FIRST, [target])
    seen = NEVER_POLLED.with_outcome(Found(replace(ACTIVE, name="n")), NOW, MAX_STALE)
    seen = seen.with_outcome(
        Found(replace(ACTIVE, name=f"n{text}", status=f"s{text}")), NOW, MAX_STALE
    )
    store.observe(
        target.key, seen.with_outcome(Failed("malformed", f"d{text}", text), NOW, MAX_STALE)
    )
    shown = html(store)
    shown.encode()
    tags = [tag for tag, _ in Reader(shown).elements]
    assert set(tags) <= TAGS
    assert tags.count("script") == 1
    assert tags.count("tr") == 2


WALLS = st.none() | st.floats(-1e12, 1e12)
COUNTS = st.integers(0, 10**6)
TEXTS = st.text(max_size=9)
CLOUDS = st.builds(
    CloudState,
    name=st.sampled_from(["a", "b c", "d/<'>\"&"]),
    interval=st.floats(1, 1e6),
    api_up=st.sampled_from([None, True, False]),
    breaker_open=st.booleans(),
    mass_disappearance=st.booleans(),
    last_cycle_at=WALLS,
    last_cycle_duration=st.none() | st.floats(0, 1e6),
    next_cycle_at=WALLS,
    cycles_skipped=COUNTS,
    api_version=st.none() | TEXTS,
    token_expires_at=WALLS,
    authentications=COUNTS,
    authentication_failures=COUNTS,
    sign_in_failure=st.none() | TEXTS,
    discovery_interval=st.none() | st.floats(1, 1e6),
    discovery_failure=st.none() | st.builds(Failed, st.sampled_from(list(REASONS)), TEXTS),
    discovered_at=WALLS,
    resolved=st.dictionaries(TEXTS, TEXTS, max_size=5),
    resolved_changes=st.dictionaries(TEXTS, COUNTS, max_size=5),
)
IMAGES = st.builds(
    Image,
    api=st.sampled_from(["v1", "v2"]),
    id=st.just("an-id"),
    status=st.sampled_from([*STATUSES, "odd"]),
    name=st.none() | TEXTS,
    size_bytes=st.none() | st.integers(0, 2**63 - 1),
    protected=st.sampled_from([None, True, False]),
    public=st.sampled_from([None, True, False]),
    hidden=st.sampled_from([None, True, False]),
    visibility=st.none() | TEXTS,
    created_at=WALLS,
)
OUTCOMES = st.lists(
    st.builds(Found, IMAGES, TEXTS)
    | st.builds(Gone, TEXTS)
    | st.builds(Failed, st.sampled_from(list(REASONS)), TEXTS, TEXTS),
    max_size=4,
)
EXPECTED = st.sampled_from(
    [(), (("exists", False), ("status", ("active",))), (("max_age", 60.0), ("name", "a*"))]
)


@given(CLOUDS, OUTCOMES, EXPECTED, st.floats(0, 1e5))
def test_whatever_is_known_can_be_shown(
    cloud: CloudState, outcomes: list[Outcome], expect: tuple[tuple[str, object], ...], age: float
) -> None:
    """No state of a cloud and no life of an image keeps the page or the JSON from being made."""
    store = Store()
    target = Target(cloud.name, "an-id", "an-alias", expect=expect)
    store.add_cloud(cloud, [target])
    seen = NEVER_POLLED
    for outcome in outcomes:
        seen = seen.with_outcome(outcome, Instant(NOW.monotonic - age, NOW.wall - age), MAX_STALE)
    store.observe(target.key, seen)
    assert Reader(html(store)).row("an-alias")
    assert (
        json.loads(to_ascii_json(image_list_document(query_images(store, Query(), NOW))))["total"]
        == 1
    )
