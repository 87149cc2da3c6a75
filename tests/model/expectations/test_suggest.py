from dataclasses import replace

import pytest

from exporter.model.expectations.checks import EXPECTATIONS, TIME_BASED, Expectations
from exporter.model.expectations.suggest import suggest_expectations
from exporter.model.image import Image
from exporter.model.observation import Observation
from exporter.model.outcome import Found, Gone
from tests.support.images import ACTIVE, MAX_STALE, START, observed

THROUGH_V2 = replace(
    ACTIVE,
    api="v2",
    visibility="private",
    hidden=False,
    digests=(("md5", "a"), ("sha512", "b")),
    properties=(("OS_Distro", "ubuntu"), ("os_distro", "debian")),
)
BARE = Image("v2", ACTIVE.id, "queued")


def suggest(
    observation: Observation,
    expect: Expectations = (),
    own: tuple[str, ...] = (),
    properties: tuple[str, ...] = (),
    refused: tuple[str, ...] = (),
) -> dict[str, object]:
    """Suggest expectations, if settings accept every known value except ``refused``."""

    def is_met(key: str, value: object) -> bool:
        return value not in (None, {}, {"OS_Bad": "\x1b"}) and key not in refused

    return suggest_expectations(
        expect, own, properties, observation=observation, now=START, is_met=is_met
    )


def test_every_reported_value_is_suggested() -> None:
    """Special characters of a glob are escaped in the name."""
    image = replace(THROUGH_V2, name="a [b]*?")
    assert suggest(observed(Found(image)), properties=("OS_Distro",)) == {
        "exists": True,
        "status": "active",
        "protected": True,
        "visibility": "private",
        "hidden": False,
        "checksum": "a",
        "hash": {"sha512": "b"},
        "size": "2252MiB",
        "min_disk": "40GiB",
        "min_ram": "2GiB",
        "disk_format": "qcow2",
        "container_format": "bare",
        "owner": "70e8fbac958f4a27b37bb02f2af0c8ad",
        "name": "a [[]b][*][?]",
        "properties": {"OS_Distro": "ubuntu"},
    }


def test_every_expectation_is_suggested_except_ages() -> None:
    """``visibility`` is suggested instead of ``public``, and an image implies no maximum age."""
    suggested = suggest(observed(Found(THROUGH_V2)), properties=("OS_Distro",))
    assert set(EXPECTATIONS) - suggested.keys() == {"public", *TIME_BASED}


def test_unreported_value_is_not_suggested() -> None:
    through_v1 = suggest(observed(Found(ACTIVE)), properties=("OS_Distro", "nothing"))
    assert through_v1["public"] is False
    assert through_v1["properties"] == {"OS_Distro": "ubuntu"}
    assert {"visibility", "hidden", "hash"} & through_v1.keys() == set()
    assert suggest(observed(Found(BARE))) == {"exists": True, "status": "queued"}


def test_own_expectation_that_is_met_stays_unchanged() -> None:
    """Inherited ones become exact values of the image."""
    expect: Expectations = (("status", ("active", "queued")), ("name", "golden*"), ("max_age", 1e9))
    changes = suggest(observed(Found(ACTIVE)), expect, own=("name", "max_age"))
    assert {"name", "max_age"} & changes.keys() == set()
    assert changes["status"] == "active"


@pytest.mark.parametrize("own", [(), ("status", "hidden", "max_age", "visibility", "public")])
def test_unmet_expectation_without_a_known_value_is_removed(own: tuple[str, ...]) -> None:
    expect: Expectations = (
        ("status", ("queued",)),
        ("public", True),
        ("visibility", ("public",)),
        ("hidden", False),
        ("max_age", 1.0),
    )
    changes = suggest(observed(Found(ACTIVE)), expect, own, refused=("status",))
    lifted = {key for key, value in changes.items() if value is None}
    assert lifted == {"status", "visibility", "hidden", "max_age"}
    assert changes["public"] is False
    changes = suggest(observed(Found(THROUGH_V2)), expect, own)
    assert {key for key, value in changes.items() if value is None} == {"public", "max_age"}
    assert changes["visibility"] == "private"


def test_property_that_settings_reject_does_not_exclude_others() -> None:
    """Tenants write properties."""
    bad = replace(THROUGH_V2, properties=(("OS_Bad", "\x1b"), ("os_distro", "debian")))
    names = ("OS_Bad", "os_distro", "name")
    assert suggest(observed(Found(bad)), properties=names)["properties"] == {"os_distro": "debian"}
    expect: Expectations = (("properties", (("OS_Bad", "x"), ("other", "y"))),)
    assert suggest(observed(Found(bad)), expect, properties=("os_distro",))["properties"] == {
        "OS_Bad": None,
        "os_distro": "debian",
        "other": None,
    }


def test_gone_image_is_suggested_to_be_absent() -> None:
    gone = observed(Found(ACTIVE)).with_outcome(Gone(), START, MAX_STALE)
    assert suggest(gone, (("status", ("active",)), ("exists", True)), own=("status", "exists")) == {
        "exists": False,
        "status": None,
    }
    assert suggest(gone, (("exists", False),), own=("exists",)) == {}
    deleted = observed(Found(replace(ACTIVE, status="deleted")))
    assert suggest(deleted) == {"exists": False}


def test_existing_image_is_suggested_to_exist() -> None:
    changes = suggest(observed(Found(ACTIVE)), (("exists", False),), own=("exists",))
    assert changes["exists"] is True
    assert changes["size"] == "2252MiB"
