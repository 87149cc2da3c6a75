from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.discovery import (
    DiscoveredImage,
    DiscoveryResult,
    DiscoveryRule,
    apply_rules,
    merge_discovered,
)
from exporter.model.image import Image

IMAGE = Image(
    "v2",
    "a",
    "active",
    name="ubuntu-24.04-2026.11",
    hidden=False,
    visibility="shared",
    project_id="images",
    tags=("golden", "signed"),
    properties=(("os_distro", "ubuntu"), ("os_version", "24.04")),
    created_at=1000.0,
)

MATCHING = {
    "no criterion": DiscoveryRule(),
    "the name itself": DiscoveryRule(name="ubuntu-24.04-2026.11"),
    "a glob": DiscoveryRule(name="ubuntu-??.04-[0-9]*"),
    "one tag": DiscoveryRule(tags=("signed",)),
    "all tags": DiscoveryRule(tags=("signed", "golden")),
    "owner": DiscoveryRule(owner="images"),
    "visibility": DiscoveryRule(visibility="shared"),
    "status": DiscoveryRule(statuses=("queued", "active")),
    "properties": DiscoveryRule(properties=(("os_version", "24.04"), ("os_distro", "ubuntu"))),
    "everything": DiscoveryRule("ubuntu*", ("golden",), "images", "shared", ("active",), alias="x"),
}
DIFFERENT = {
    "another name": DiscoveryRule(name="ubuntu-24.04"),
    "case of the name": DiscoveryRule(name="Ubuntu*"),
    "a tag that is missing": DiscoveryRule(tags=("golden", "old")),
    "case of a tag": DiscoveryRule(tags=("Golden",)),
    "owner": DiscoveryRule(owner="others"),
    "visibility": DiscoveryRule(visibility="public"),
    "status": DiscoveryRule(statuses=("queued",)),
    "value of a property": DiscoveryRule(properties=(("os_distro", "debian"),)),
    "a property that is missing": DiscoveryRule(properties=(("os_admin_user", "ubuntu"),)),
    "one of several": DiscoveryRule("ubuntu*", ("golden",), "others"),
}

WORDS = st.sampled_from(["", "a", "b", "golden-1", "golden-2", "x[", "*", "a\nb"])
IMAGES = st.lists(
    st.builds(
        Image,
        api=st.just("v2"),
        id=st.sampled_from("abcdefgh"),
        status=st.sampled_from(["active", "queued", "deleted"]),
        name=st.none() | WORDS,
        hidden=st.sampled_from([None, False, True]),
        visibility=st.sampled_from(["public", "private"]),
        project_id=st.none() | WORDS,
        tags=st.lists(WORDS).map(tuple),
        properties=st.lists(st.tuples(WORDS, WORDS)).map(tuple),
        created_at=st.none() | st.integers(0, 3).map(float),
    ),
    unique_by=lambda image: image.id,
)
RULES = st.lists(
    st.builds(
        DiscoveryRule,
        name=st.none() | WORDS | st.just("golden-*"),
        tags=st.lists(WORDS, max_size=2).map(tuple),
        owner=st.none() | WORDS,
        visibility=st.sampled_from([None, "public"]),
        statuses=st.lists(st.sampled_from(["active", "queued"])).map(tuple),
        properties=st.lists(st.tuples(WORDS, WORDS), max_size=1).map(tuple),
        alias=st.sampled_from([None, None, "x", "y"]),
    ),
    # The settings let no two have one alias.
    unique_by=lambda rule: rule.alias or id(rule),
)
IDS = st.frozensets(st.sampled_from("abcdefgh"))
LABELS = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y"]))
KNOWN = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(
        DiscoveredImage,
        label=st.sampled_from(["x", "y"]),
        matches=st.booleans(),
        gone_since=st.none() | st.floats(0, 100),
    ),
)


@pytest.mark.parametrize("rule", MATCHING.values(), ids=MATCHING)
def test_image_that_meets_every_criterion_matches(rule: DiscoveryRule) -> None:
    assert rule.matches(IMAGE)


@pytest.mark.parametrize("rule", DIFFERENT.values(), ids=DIFFERENT)
def test_image_that_misses_one_criterion_does_not_match(rule: DiscoveryRule) -> None:
    assert not rule.matches(IMAGE)


def test_hidden_and_deleted_images_never_match() -> None:
    assert not DiscoveryRule().matches(replace(IMAGE, hidden=True))
    assert not DiscoveryRule().matches(replace(IMAGE, status="deleted"))
    assert DiscoveryRule().matches(replace(IMAGE, hidden=None))


def test_image_without_a_name_matches_only_the_glob_for_any_name() -> None:
    nameless = replace(IMAGE, name=None)
    assert not DiscoveryRule(name="?*").matches(nameless)
    assert DiscoveryRule(name="*", owner="images").matches(nameless)


def test_alias_resolves_to_the_most_recent_image() -> None:
    """If several were created at once, the one whose ID sorts last."""
    old, b, a = (
        replace(IMAGE, id=image_id, created_at=at)
        for image_id, at in (("z", 1), ("b", 2), ("a", 2))
    )
    unknown = replace(IMAGE, id="zz", created_at=None)
    images = [old, b, unknown, a]
    rule = DiscoveryRule(alias="x")
    assert apply_rules([rule], images, ()) == DiscoveryResult({"b": "x"}, {"x": "b"}, {"b": rule})
    assert apply_rules([rule], [unknown], ()) == DiscoveryResult(
        {"zz": "x"}, {"x": "zz"}, {"zz": rule}
    )
    assert apply_rules([rule], [], ()) == DiscoveryResult()


@pytest.mark.parametrize("turn", [1, -1])
def test_image_with_several_labels_gets_the_first_alias(turn: int) -> None:
    rules = [DiscoveryRule(alias="x"), DiscoveryRule(tags=("golden",))][::turn]
    assert apply_rules(rules, [IMAGE], ()).labels == {"a": "x"}
    x, y = DiscoveryRule(alias="x"), DiscoveryRule(alias="y")
    both = apply_rules([x, y], [IMAGE], ())
    assert both == DiscoveryResult({"a": "x"}, {"x": "a", "y": "a"}, {"a": x})


def test_configured_image_is_not_discovered_again() -> None:
    """An alias still resolves to it."""
    assert apply_rules([DiscoveryRule(alias="x")], [IMAGE], {"a"}) == DiscoveryResult(
        {}, {"x": "a"}
    )


def test_first_matching_rule_applies() -> None:
    old = replace(IMAGE, id="old", created_at=1.0)
    new = replace(IMAGE, id="new", created_at=2.0)
    golden, plain = DiscoveryRule(alias="x"), DiscoveryRule(tags=("golden",))
    assert apply_rules([golden, plain], [old, new], ()).rules == {"new": golden, "old": plain}
    assert apply_rules([plain, golden], [old, new], ()).rules == {"new": plain, "old": plain}
    assert apply_rules([golden, plain], [old, new], {"new"}).rules == {"old": plain}


@given(RULES, IMAGES, IDS)
def test_result_has_exactly_the_matching_images_in_any_order_of_the_list(
    rules: list[DiscoveryRule], images: list[Image], configured: frozenset[str]
) -> None:
    result = apply_rules(rules, images, configured)
    assert result == apply_rules(rules, images[::-1], configured)
    by_id = {image.id: image for image in images}
    assert result.rules.keys() == result.labels.keys()
    for image_id, label in result.labels.items():
        assert image_id not in configured
        assert any(rule.matches(by_id[image_id]) for rule in rules if rule.alias in {None, label})
        assert label == image_id or result.aliases[label] == image_id
    for rule in rules:
        matching = {image.id for image in images if rule.matches(image)}
        if rule.alias is None:
            assert matching - configured <= result.labels.keys()
        elif matching:
            assert result.aliases[rule.alias] in by_id
    aliases = [label for image_id, label in result.labels.items() if label != image_id]
    assert len(aliases) == len(set(aliases))


@given(KNOWN, LABELS)
def test_listing_adds_images_and_drops_none(
    known: dict[str, DiscoveredImage], labels: dict[str, str]
) -> None:
    rules = {
        image_id: DiscoveryRule(
            expect=(("name", image_id),), operator_labels=(("team", f"of {image_id}"),)
        )
        for image_id in labels
    }
    result = DiscoveryResult(labels, {}, rules)
    after = merge_discovered(known, result)
    assert after.keys() == known.keys() | labels.keys()
    assert {image_id for image_id, image in after.items() if image.matches} == labels.keys()
    for image_id, image in after.items():
        before = known.get(image_id, DiscoveredImage(""))
        assert image.gone_since == before.gone_since
        assert image.label == labels.get(image_id, before.label)
        rule = rules.get(image_id, before)
        assert image.expect == rule.expect
        assert image.operator_labels == rule.operator_labels
    assert merge_discovered(after, result) == after
    assert list(after)[: len(known)] == list(known)


def test_superseded_image_is_dropped_at_once() -> None:
    assert DiscoveredImage("x", matches=False).after_poll(True, 5.0) is None
    assert DiscoveredImage("x", matches=False, gone_since=1.0).after_poll(True, 5.0) is None


def test_gone_image_expires_after_forget_after() -> None:
    """An image that still matches stays watched."""
    gone = DiscoveredImage("x", matches=False).after_poll(False, 5.0)
    assert gone is not None
    assert (
        gone == gone.after_poll(False, 9.0) == DiscoveredImage("x", matches=False, gone_since=5.0)
    )
    assert not gone.is_expired(10.0, 14.9)
    assert gone.is_expired(10.0, 15.0)
    assert not replace(gone, matches=True).is_expired(10.0, 99.0)
    assert not DiscoveredImage("x", matches=False).is_expired(0.0, 99.0)


def test_matching_image_stays_and_its_return_resets_gone_since() -> None:
    gone = DiscoveredImage("x").after_poll(False, 5.0)
    assert gone == DiscoveredImage("x", gone_since=5.0)
    assert gone.after_poll(True, 6.0) == DiscoveredImage("x")
