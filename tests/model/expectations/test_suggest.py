"""What to expect of an image so that all is as expected now."""

from dataclasses import replace

import pytest

from exporter.model.expectations.checks import Expectations
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


def of(
    seen: Observation,
    expect: Expectations = (),
    own: tuple[str, ...] = (),
    properties: tuple[str, ...] = (),
    refused: tuple[str, ...] = (),
) -> dict[str, object]:
    """The changes, where settings accept all that is known but what is ``refused``."""

    def holds(key: str, value: object) -> bool:
        return value not in (None, {}, {"OS_Bad": "\x1b"}) and key not in refused

    return suggest_expectations(expect, own, properties, observation=seen, now=START, is_met=holds)


def test_everything_that_an_answer_says_is_expected() -> None:
    """As settings write it; of a glob, what is special is taken as it stands."""
    image = replace(THROUGH_V2, name="a [b]*?")
    assert of(observed(Found(image)), properties=("OS_Distro",)) == {
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


def test_what_an_answer_does_not_say_is_not_expected() -> None:
    """Through v1, and of an image of which little is known."""
    through_v1 = of(observed(Found(ACTIVE)), properties=("OS_Distro", "nothing"))
    assert through_v1["public"] is False
    assert through_v1["properties"] == {"OS_Distro": "ubuntu"}
    assert {"visibility", "hidden", "hash"} & through_v1.keys() == set()
    assert of(observed(Found(BARE))) == {"exists": True, "status": "queued"}


def test_what_is_its_own_and_met_stays_as_it_is() -> None:
    """Somebody has thought about it; what is inherited gets exact on the image."""
    expect: Expectations = (("status", ("active", "queued")), ("name", "golden*"), ("max_age", 1e9))
    changes = of(observed(Found(ACTIVE)), expect, own=("name", "max_age"))
    assert {"name", "max_age"} & changes.keys() == set()
    assert changes["status"] == "active"


@pytest.mark.parametrize("own", [(), ("status", "hidden", "max_age", "visibility", "public")])
def test_what_is_not_met_and_cannot_be_said_is_lifted(own: tuple[str, ...]) -> None:
    """An age, what the API does not say, and what settings would refuse."""
    expect: Expectations = (
        ("status", ("queued",)),
        ("public", True),
        ("visibility", ("public",)),
        ("hidden", False),
        ("max_age", 1.0),
    )
    changes = of(observed(Found(ACTIVE)), expect, own, refused=("status",))
    lifted = {key for key, value in changes.items() if value is None}
    assert lifted == {"status", "visibility", "hidden", "max_age"}
    assert changes["public"] is False
    changes = of(observed(Found(THROUGH_V2)), expect, own)
    assert {key for key, value in changes.items() if value is None} == {"public", "max_age"}
    assert changes["visibility"] == "private"


def test_a_property_that_cannot_be_expected_takes_no_other_with_it() -> None:
    """Tenants write them; what was expected of it is lifted, and it alone."""
    bad = replace(THROUGH_V2, properties=(("OS_Bad", "\x1b"), ("os_distro", "debian")))
    names = ("OS_Bad", "os_distro", "name")
    assert of(observed(Found(bad)), properties=names)["properties"] == {"os_distro": "debian"}
    expect: Expectations = (("properties", (("OS_Bad", "x"), ("other", "y"))),)
    assert of(observed(Found(bad)), expect, properties=("os_distro",))["properties"] == {
        "OS_Bad": None,
        "os_distro": "debian",
        "other": None,
    }


def test_an_image_that_is_gone_is_expected_to_be() -> None:
    """Nothing else can be expected of it, so what is its own is lifted."""
    gone = observed(Found(ACTIVE)).with_outcome(Gone(), START, MAX_STALE)
    assert of(gone, (("status", ("active",)), ("exists", True)), own=("status", "exists")) == {
        "exists": False,
        "status": None,
    }
    assert of(gone, (("exists", False),), own=("exists",)) == {}
    deleted = observed(Found(replace(ACTIVE, status="deleted")))
    assert of(deleted) == {"exists": False}


def test_an_image_that_should_be_gone_is_expected_again() -> None:
    """What is there is there."""
    changes = of(observed(Found(ACTIVE)), (("exists", False),), own=("exists",))
    assert changes["exists"] is True
    assert changes["size"] == "2252MiB"
