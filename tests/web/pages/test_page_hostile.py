"""Text from tenants and services cannot add elements to the page."""

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
from tests.support.images import ACTIVE, MAX_STALE
from tests.web.example_images import CONTROLS, FIRST_CLOUD, HOSTILE, LONG, NOW, REVERSED
from tests.web.html_reader import TAGS, Reader, render


@pytest.mark.parametrize("text", [HOSTILE, REVERSED, CONTROLS, LONG])
def test_hostile_text_is_escaped(text: str) -> None:
    html = render(cloud="second")
    assert {tag for tag, _ in Reader(html).elements} <= TAGS
    assert not re.search("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u202e\\u2066\\u200f]", html)
    assert text not in html or text == LONG


@given(st.text(max_size=50))
def test_no_text_adds_elements_to_the_page(text: str) -> None:
    store = Store()
    target = Target("first", "an-id", "an-id")
    store.add_cloud(FIRST_CLOUD, [target])
    observation = NEVER_POLLED.with_outcome(Found(replace(ACTIVE, name="n")), NOW, MAX_STALE)
    image = replace(ACTIVE, name=f"n{text}", status=f"s{text}")
    observation = observation.with_outcome(Found(image), NOW, MAX_STALE)
    observation = observation.with_outcome(Failed("malformed", f"d{text}", text), NOW, MAX_STALE)
    store.observe(target.key, observation)
    html = render(store)
    html.encode()
    tags = [tag for tag, _ in Reader(html).elements]
    assert set(tags) <= TAGS
    assert tags.count("script") == 1
    assert tags.count("tr") == 2


TIMESTAMPS = st.none() | st.floats(-1e12, 1e12)
COUNTS = st.integers(0, 10**6)
TEXTS = st.text(max_size=9)
CLOUDS = st.builds(
    CloudState,
    name=st.sampled_from(["a", "b c", "d/<'>\"&"]),
    interval=st.floats(1, 1e6),
    api_up=st.sampled_from([None, True, False]),
    breaker_open=st.booleans(),
    mass_disappearance=st.booleans(),
    last_cycle_at=TIMESTAMPS,
    last_cycle_duration=st.none() | st.floats(0, 1e6),
    next_cycle_at=TIMESTAMPS,
    cycles_skipped=COUNTS,
    api_version=st.none() | TEXTS,
    token_expires_at=TIMESTAMPS,
    authentications=COUNTS,
    authentication_failures=COUNTS,
    auth_failure=st.none() | st.builds(Failed, st.just("unauthorized"), TEXTS),
    discovery_interval=st.none() | st.floats(1, 1e6),
    discovery_failure=st.none() | st.builds(Failed, st.sampled_from(list(REASONS)), TEXTS),
    discovered_at=TIMESTAMPS,
    resolved=st.dictionaries(TEXTS, TEXTS, max_size=5),
    resolved_changes=st.dictionaries(TEXTS, COUNTS, max_size=5),
    contradictions=COUNTS,
    contradicted_at=TIMESTAMPS,
    capabilities=st.none() | TEXTS,
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
    created_at=TIMESTAMPS,
)
OUTCOMES = st.lists(
    st.builds(Found, IMAGES, TEXTS)
    | st.builds(Gone, TEXTS)
    | st.builds(Failed, st.sampled_from(list(REASONS)), TEXTS, TEXTS),
    max_size=4,
)
EXPECTATIONS = st.sampled_from(
    [(), (("exists", False), ("status", ("active",))), (("max_age", 60.0), ("name", "a*"))]
)


@given(CLOUDS, OUTCOMES, EXPECTATIONS, st.floats(0, 1e5))
def test_any_state_of_a_cloud_and_image_can_be_rendered(
    cloud: CloudState, outcomes: list[Outcome], expect: tuple[tuple[str, object], ...], age: float
) -> None:
    store = Store()
    target = Target(cloud.name, "an-id", "an-alias", expect=expect)
    store.add_cloud(cloud, [target])
    polled_at = Instant(NOW.monotonic - age, NOW.wall - age)
    observation = NEVER_POLLED
    for outcome in outcomes:
        observation = observation.with_outcome(outcome, polled_at, MAX_STALE)
    store.observe(target.key, observation)
    assert Reader(render(store)).row("an-alias")
    assert (
        json.loads(to_ascii_json(image_list_document(query_images(store, Query(), NOW))))["total"]
        == 1
    )
