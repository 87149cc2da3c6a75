"""The exporter with a real Glance: the next cycle shows every change, and nothing else.

Every test changes an image of its own; the series of all other images must not change.
"""

import hashlib
from collections.abc import Iterator
from uuid import uuid4

import pytest

from exporter.text import escape
from tests.openstack.exporter import Change, Exporter, Samples, exporter, series
from tests.openstack.stack import OpenStack

pytestmark = pytest.mark.slow

DATA = b"sixteen bytes..."
CLOUDS = ("demo", "demo-appcred")
"""Entries of clouds.yaml: by password and by application credential, with the same images."""

ACTIVE = (
    "protected",
    "published",
    "hidden",
    "deactivated",
    "deleted",
    "replaced",
    "renamed",
    "steady",
)
"""Images of demo with data, named after the changes of the tests."""

IMAGES = {name: str(uuid4()) for name in (*ACTIVE, "created", "uploaded", "foreign")}


@pytest.fixture(scope="module")
def watching(openstack: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Yield an exporter whose first cycle covers all images."""
    for name in ACTIVE:
        openstack.demo.create(IMAGES[name], name)
        openstack.demo.upload(IMAGES[name], DATA)
    openstack.demo.create(IMAGES["uploaded"], "uploaded")
    openstack.other.create(IMAGES["foreign"], "foreign")
    environ = {
        "OS_CLIENT_CONFIG_FILE": str(openstack.clouds_yaml),
        "OS_CLIENT_SECURE_FILE": str(openstack.secure_yaml),
    }
    folder = tmp_path_factory.mktemp("exporter")
    with exporter(folder, IMAGES, CLOUDS, environ) as running:
        yield running


def info(openstack: OpenStack, image: str, visibility: str, name: str = "") -> str:
    """Return the key of an image's info series."""
    return (
        f'{image}: openstack_image_info{{container_format="bare",disk_format="raw",'
        f'name="{name or image}",project_id="{openstack.demo.project_id}",'
        f'visibility="{visibility}"}}'
    )


def status_change(image: str, old: str, new: str, count: int = 1) -> dict[str, Change]:
    """Return the changes caused by a change of status alone."""
    return {
        f'{image}: openstack_image_status{{status="{old}"}}': (1, 0),
        f'{image}: openstack_image_status{{status="{new}"}}': (0, 1),
        f"{image}: openstack_image_status_changes_total": (count - 1, count),
    }


def attribute_change(image: str, attribute: str) -> dict[str, Change]:
    """Return the change of the counter at the first change of an attribute."""
    key = f'{image}: openstack_image_attribute_changes_total{{attribute="{attribute}"}}'
    return {key: (0, 1)}


def value(samples: Samples, metric: str, image: str, **labels: str) -> float | None:
    """Return the value of an image's series, which must be the same in both clouds."""
    values = {
        samples.get(series(metric, cloud=cloud, image=image, image_id=IMAGES[image], **labels))
        for cloud in CLOUDS
    }
    assert len(values) == 1, values
    return values.pop()


def test_first_cycle_reports_exactly_the_visible_images(watching: Exporter) -> None:
    samples = watching.next_cycle()
    for image in IMAGES:
        is_visible = image not in {"created", "foreign"}
        assert value(samples, "openstack_image_exists", image) == is_visible, image
        assert value(samples, "openstack_image_poll_success", image) == 1
    digest = hashlib.sha512(DATA).hexdigest()
    labels = {"algorithm": "sha512", "digest": digest}
    assert value(samples, "openstack_image_content_info", "steady", **labels) == 1
    assert value(samples, "openstack_image_size_bytes", "steady") == len(DATA)


def test_no_series_changes_without_a_change_of_an_image(watching: Exporter) -> None:
    assert watching.changes_by(watching.next_cycle) == {}


def test_created_image_exists_as_queued(openstack: OpenStack, watching: Exporter) -> None:
    changes = watching.changes_by(
        lambda: openstack.demo.create(IMAGES["created"], "created", min_disk=2, min_ram=512)
    )
    assert {key.partition(":")[0] for key in changes} == {"created"}
    expected: dict[str, Change] = {
        "created: openstack_image_exists": (0, 1),
        "created: openstack_image_existence_changes_total": (0, 1),
        'created: openstack_image_status{status="queued"}': (None, 1),
        'created: openstack_image_status{status="active"}': (None, 0),
        "created: openstack_image_protected": (None, 0),
        "created: openstack_image_public": (None, 0),
        "created: openstack_image_hidden": (None, 0),
        "created: openstack_image_min_disk_bytes": (None, 2 * 2**30),
        "created: openstack_image_min_ram_bytes": (None, 512 * 2**20),
        info(openstack, "created", "private"): (None, 1),
    }
    assert expected.items() <= changes.items()
    assert "created: openstack_image_size_bytes" not in changes


def test_uploaded_image_becomes_active_with_size_and_digests(
    openstack: OpenStack, watching: Exporter
) -> None:
    """The first digests are not a change of content."""
    changes = watching.changes_by(lambda: openstack.demo.upload(IMAGES["uploaded"], DATA))
    content = "uploaded: openstack_image_content_info"
    assert changes == {
        **status_change("uploaded", "queued", "active"),
        "uploaded: openstack_image_size_bytes": (None, len(DATA)),
        "uploaded: openstack_image_virtual_size_bytes": (None, len(DATA)),
        **{
            f'{content}{{algorithm="{name}",digest="{hashlib.new(name, DATA).hexdigest()}"}}': (
                None,
                1,
            )
            for name in ("md5", "sha512")
        },
    }


def test_protected_image(openstack: OpenStack, watching: Exporter) -> None:
    changes = watching.changes_by(
        lambda: openstack.demo.change(IMAGES["protected"], protected=True)
    )
    assert changes == {
        "protected: openstack_image_protected": (0, 1),
        **attribute_change("protected", "protected"),
    }


def test_published_image(openstack: OpenStack, watching: Exporter) -> None:
    changes = watching.changes_by(
        lambda: openstack.admin.change(IMAGES["published"], visibility="public")
    )
    assert changes == {
        "published: openstack_image_public": (0, 1),
        info(openstack, "published", "private"): (1, None),
        info(openstack, "published", "public"): (None, 1),
        **attribute_change("published", "public"),
        **attribute_change("published", "visibility"),
    }


def test_renamed_image_with_a_name_that_must_be_escaped(
    openstack: OpenStack, watching: Exporter
) -> None:
    hostile = 'a"b\\c\nd{}'
    changes = watching.changes_by(lambda: openstack.demo.change(IMAGES["renamed"], name=hostile))
    assert changes == {
        info(openstack, "renamed", "private"): (1, None),
        info(openstack, "renamed", "private", escape(hostile)): (None, 1),
        **attribute_change("renamed", "name"),
    }


def test_hidden_image_still_exists(openstack: OpenStack, watching: Exporter) -> None:
    """Plain lists omit hidden images."""
    changes = watching.changes_by(lambda: openstack.demo.change(IMAGES["hidden"], os_hidden=True))
    assert changes == {"hidden: openstack_image_hidden": (0, 1)}


def test_deactivated_and_reactivated_image_changes_its_status(
    openstack: OpenStack, watching: Exporter
) -> None:
    image_id = IMAGES["deactivated"]
    off = watching.changes_by(lambda: openstack.demo.act(image_id, "deactivate"))
    assert off == status_change("deactivated", "active", "deactivated")
    on = watching.changes_by(lambda: openstack.demo.act(image_id, "reactivate"))
    assert on == status_change("deactivated", "deactivated", "active", count=2)


def test_deleted_image_is_gone_after_one_cycle_with_all_its_values(
    openstack: OpenStack, watching: Exporter
) -> None:
    """The confirmation of the 404 is part of the same cycle."""
    image_id = IMAGES["deleted"]
    before = watching.scrape()
    changes = watching.changes_by(lambda: openstack.demo.delete(image_id))
    existence = {
        "deleted: openstack_image_exists": (1, 0),
        "deleted: openstack_image_existence_changes_total": (0, 1),
    }
    assert existence.items() <= changes.items()
    assert {key.partition(":")[0] for key in changes} == {"deleted"}
    assert all(new is None for key, (_, new) in changes.items() if key not in existence)
    assert value(before, "openstack_image_size_bytes", "deleted") == len(DATA)
    assert changes["deleted: openstack_image_size_bytes"] == (len(DATA), None)


def test_id_of_a_deleted_image_cannot_be_used_again(
    openstack: OpenStack, watching: Exporter
) -> None:
    image_id = IMAGES["replaced"]
    openstack.demo.delete(image_id)
    body = {"id": image_id, "name": "replaced", "disk_format": "raw", "container_format": "bare"}
    response = openstack.demo.image_api("POST", "/v2/images", json=body)
    assert response.status_code == 409
    samples = watching.next_cycle()
    assert value(samples, "openstack_image_exists", "replaced") == 0


def test_image_of_another_project_exists_while_it_is_visible(
    openstack: OpenStack, watching: Exporter
) -> None:
    """It does not depend on the image being listed."""
    image_id = IMAGES["foreign"]
    other = openstack.other

    def exists_after_a_cycle() -> bool:
        samples = watching.next_cycle()
        assert value(samples, "openstack_image_poll_success", "foreign") == 1
        return value(samples, "openstack_image_exists", "foreign") == 1

    assert not exists_after_a_cycle()
    other.change(image_id, visibility="community")
    assert exists_after_a_cycle()
    other.change(image_id, visibility="shared")
    assert not exists_after_a_cycle()
    other.share(image_id, openstack.demo.project_id)
    assert exists_after_a_cycle()
    for status in ("accepted", "rejected"):
        openstack.demo.set_member_status(image_id, status)
        assert exists_after_a_cycle()
    other.change(image_id, visibility="private")
    assert not exists_after_a_cycle()


def test_revoked_token_is_renewed_and_no_image_changes(
    openstack: OpenStack, watching: Exporter
) -> None:
    before = watching.next_cycle()
    metric = "openstack_image_exporter_authentications_total"
    openstack.revoke_tokens(openstack.demo)

    def uses_new_token(samples: Samples) -> bool:
        keys = [series(metric, cloud=cloud) for cloud in CLOUDS]
        return all(samples[key] > before[key] for key in keys) and _all_successful(samples)

    watching.wait_until(uses_new_token, "a new token in use")
    assert watching.changes(before, watching.next_cycle()) == {}


def test_images_keep_their_values_while_glance_is_down(
    openstack: OpenStack, watching: Exporter
) -> None:
    """Only ``poll_success`` and ``api_up`` change."""
    before = watching.next_cycle()
    up = [series("openstack_image_api_up", cloud=cloud) for cloud in CLOUDS]
    with openstack.glance.stopped():
        down = watching.next_cycle()
        failed = {f"{image}: openstack_image_poll_success": (1, 0) for image in IMAGES}
        assert watching.changes(before, down) == failed
        assert [down[key] for key in up] == [0, 0]
    # The first requests to a Glance that has just started may time out.
    watching.wait_until(_all_successful, "successful polls of every image")
    after = watching.next_cycle()
    assert watching.changes(before, after) == {}
    assert [after[key] for key in up] == [1, 1]


def _all_successful(samples: Samples) -> bool:
    metric = "openstack_image_poll_success"
    return all(
        samples[series(metric, cloud=cloud, image=image, image_id=image_id)] == 1
        for cloud in CLOUDS
        for image, image_id in IMAGES.items()
    )
