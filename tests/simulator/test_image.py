from pathlib import Path

import pytest

from exporter.simulator import SimulatedImage, SimulatedImages

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v1"

# The images in the recordings of v1, to build their heads again.
RECORDED = {
    "active-private": SimulatedImage(
        "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5", updated_at="2026-11-23T11:02:42.072665"
    ),
    "active-protected-min": SimulatedImage(
        "127a0347-3682-415d-8e52-d1160e492e6a",
        name="protected",
        size=1000,
        checksum="398533d48111e9f664b1f64cb10c4b63",
        protected=True,
        min_disk=40,
        min_ram=2048,
        created_at="2026-11-23T11:02:43.803563",
        updated_at="2026-11-23T11:02:43.858533",
    ),
    "active-public-qcow2": SimulatedImage(
        "39f404fa-58e7-48fa-a488-a421ca164a62",
        name="cirros-public",
        size=472,
        checksum="817cf66d1f478dccf8bd07857bd0f674",
        visibility="public",
        created_at="2026-11-23T11:02:43.626002",
        updated_at="2026-11-23T11:02:43.769053",
        disk_format="qcow2",
        owner="aa5a956156204aa6ab10cbf497a9b124",
    ),
    "name-empty": SimulatedImage(
        "0c2c3807-7fa2-47d0-ad67-06aa929601d9",
        name="",
        size=1,
        checksum="7b774effe4a349c6dd82ad4f4f21d34c",
        created_at="2026-11-23T11:02:44.585075",
        updated_at="2026-11-23T11:02:44.619737",
    ),
    "name-unicode": SimulatedImage(
        "5fa471d5-ffe2-47d8-82ff-103f854cf3a6",
        name="Ünïcode образ 图像 イメージ",
        size=1,
        checksum="7b774effe4a349c6dd82ad4f4f21d34c",
        created_at="2026-11-23T11:02:43.998445",
        updated_at="2026-11-23T11:02:44.077430",
    ),
    "queued": SimulatedImage(
        "52c16e1f-f9f2-4b75-b5cb-d8192b38cd10",
        name="queued",
        status="queued",
        size=0,
        checksum=None,
        created_at="2026-11-23T11:02:44.636851",
        updated_at="2026-11-23T11:02:44.636855",
    ),
    "v2-name-newline": SimulatedImage(
        "d35c7b36-a7be-4438-a198-e3223e959c51",
        name="line\nbreak",
        status="queued",
        size=None,
        checksum=None,
        created_at="2026-11-23T11:02:46.917613",
        updated_at="2026-11-23T11:02:46.917613",
    ),
    "v2-queued-empty": SimulatedImage(
        "e3bdb409-a0b3-4605-88ad-d234d3ee2620",
        name=None,
        status="queued",
        size=None,
        checksum=None,
        container_format=None,
        disk_format=None,
        created_at="2026-11-23T11:02:46.870691",
        updated_at="2026-11-23T11:02:46.870691",
    ),
    "virtual-size-1t": SimulatedImage(
        "509e4909-a039-4676-9fe6-fefc5cf61b00",
        name="virtual-size-1t",
        size=472,
        virtual_size=1099511627776,
        checksum="817cf66d1f478dccf8bd07857bd0f674",
        created_at="2026-11-23T11:02:44.664598",
        updated_at="2026-11-23T11:02:44.697913",
        disk_format="qcow2",
    ),
}


def recorded(name: str) -> bytes:
    """Return a recording up to its request ID."""
    return (RECORDINGS / f"{name}.http").read_bytes().partition(b"X-Openstack-Request-Id")[0]


@pytest.mark.parametrize("name", RECORDED)
def test_v1_head_equals_recording(name: str) -> None:
    assert RECORDED[name].v1_head == recorded(name)


def test_deleted_image_has_the_headers_of_the_recording() -> None:
    image = SimulatedImage(
        "6a8434d1-973a-4039-9521-dd4b8f639ef2",
        name="deleted",
        status="deleted",
        size=4,
        checksum="50c1f58be7f5e47e0f53d64c094783c2",
        deleted=True,
        deleted_at="2026-11-23T11:03:01.979328",
        created_at="2026-11-23T11:03:01.872457",
        updated_at="2026-11-23T11:03:01.980025",
    )
    assert sorted(image.v1_head.splitlines()) == sorted(recorded("deleted-as-admin").splitlines())


def test_property_names_are_capitalized_and_empty_properties_omitted() -> None:
    image = SimulatedImage(
        "449abd09-431d-458d-ac97-b3d6bace95e6",
        name="with-properties",
        size=10,
        checksum="995bf3394c81c556054aad920e0f2513",
        created_at="2026-11-23T11:02:43.877409",
        updated_at="2026-11-23T11:02:43.963011",
        properties={
            "hw_disk_bus": "virtio",
            "UNICODE": "Größe 大きさ",
            "os_distro": "Debian",
            "description": 'two words, a comma; "quotes" = equals \\ backslash',
            "kernel_id": "5b33b6f1-77a0-4f50-a0b6-1f4ac7c1b0a4",
            "hw_vif_model": "e1000",
            "__support_kvm": "true",
            "os_type": "linux",
            "empty": "",
        },
    )
    assert sorted(image.v1_head.splitlines()) == sorted(recorded("properties").splitlines())


def test_v1_sends_lone_surrogates_as_bytes() -> None:
    image = SimulatedImage("a", name=b"\xff\xfe".decode(errors="surrogateescape"))
    assert b"X-Image-Meta-Name: \xff\xfe\r\n" in image.v1_head


def test_v1_reports_only_public_visibility_as_public() -> None:
    public = {v for v in ("public", "private", "shared", "community") if _is_public(v)}
    assert public == {"public"}


def _is_public(visibility: str) -> bool:
    return b"Is_public: True" in SimulatedImage("a", visibility=visibility).v1_head


V2_RECORDED = {
    "active-private": SimulatedImage(
        "90f0a2b3-9e1e-424d-adad-c45d329b052a",
        visibility="shared",
        virtual_size=16,
        sha512="c0320840d9e506a0e6a96d1440b79542940ca5b28e32e8eb6091945813e85afb"
        "c0af4ad9571629f6727ca4eec4499452ac4dac411b87e9f387405eaa87b34518",
        created_at="2026-11-23T11:01:08.411804",
        updated_at="2026-11-23T11:01:08.911804",
    ),
    "active-protected-min": SimulatedImage(
        "bfd21805-e716-44cc-96fc-cdbc922f0798",
        name="protected",
        visibility="shared",
        size=1000,
        virtual_size=1000,
        checksum="398533d48111e9f664b1f64cb10c4b63",
        protected=True,
        min_ram=2048,
        min_disk=40,
        sha512="ae13575c5d98bfa689617bb19f0f55efdd52b39397fd620bcd1fbc03fda979e6"
        "b69bfba24698176eafe766d31c48b70273b03198064323082e04cc4eb9126310",
        created_at="2026-11-23T11:01:09",
        updated_at="2026-11-23T11:01:09",
        tags=("b", "a", "ünï"),
    ),
    "hidden-public": SimulatedImage(
        "c54a1e55-f4ef-4ccd-a109-c5a9acc79af4",
        name="hidden-public",
        visibility="public",
        size=1,
        virtual_size=1,
        checksum="2510c39011c5be704182423e3a695e91",
        owner="aa5a956156204aa6ab10cbf497a9b124",
        hidden=True,
        sha512="2241bc8fc70705b42efead371fd4982c5ba69917e5b4b895810002644f0386da"
        "9c3131793458c2bf47608480d64a07278133c99912e0ba2daf23098f3520eb97",
        created_at="2026-11-23T11:01:12",
        updated_at="2026-11-23T11:01:12",
    ),
    "name-null": SimulatedImage(
        "17fdd36e-e97d-4705-8209-d08b460c5944",
        name=None,
        visibility="shared",
        status="queued",
        size=None,
        checksum=None,
        disk_format=None,
        container_format=None,
        created_at="2026-11-23T11:01:11",
        updated_at="2026-11-23T11:01:11",
    ),
    "property-cyrillic-key": SimulatedImage(
        "0f71f60f-1a1c-420f-bf20-172ca9e1157d",
        name="cyrillic key",
        visibility="shared",
        status="queued",
        size=None,
        checksum=None,
        created_at="2026-11-23T11:01:10",
        updated_at="2026-11-23T11:01:10",
        properties={"ключ": "значение"},
    ),
}
"""The images in the recordings of v2, to build their documents again."""


@pytest.mark.parametrize("name", V2_RECORDED)
def test_v2_document_equals_recording(name: str) -> None:
    raw = (RECORDINGS.parent / "v2" / f"{name}.http").read_bytes()
    assert V2_RECORDED[name].v2_body() == raw.partition(b"\r\n\r\n")[2]


def test_v2_default_digest_changes_with_the_checksum() -> None:
    digests = {
        SimulatedImage("a", checksum=checksum).v2_document()["os_hash_value"]
        for checksum in ("0f", "1e", None)
    }
    assert len(digests) == 3
    assert None in digests


def test_v2_stores_are_separated_by_commas() -> None:
    document = SimulatedImage("a", stores=("fs", "ceph")).v2_document()
    assert document["stores"] == "fs,ceph"
    assert "stores" not in SimulatedImage("a", stores=()).v2_document()


def test_v2_sends_lone_surrogates_as_bytes() -> None:
    image = SimulatedImage("a", name=b"\xff\xfe".decode(errors="surrogateescape"))
    assert image.v2_body().startswith(b'{"name": "\xff\xfe", ')


def test_images_keep_the_order_they_were_added_in() -> None:
    images = SimulatedImages([SimulatedImage("b"), SimulatedImage("a")])
    images.put(SimulatedImage("c"))
    images.change("b", size=5)
    assert [image.id for image in images.all()] == ["b", "a", "c"]
    assert len(images) == 3


def test_change_keeps_the_other_fields() -> None:
    images = SimulatedImages([SimulatedImage("a", name="old", size=1)])
    assert images.change("a", size=2) == SimulatedImage("a", name="old", size=2)
    assert images.get("a") == SimulatedImage("a", name="old", size=2)


def test_deleted_image_stays_for_administrators_with_the_time() -> None:
    images = SimulatedImages([SimulatedImage("a", protected=True)])
    deleted = images.delete("a", at="2026-01-01T00:00:00")
    assert images.get("a") is deleted
    assert (deleted.deleted, deleted.status, deleted.deleted_at) == (
        True,
        "deleted",
        "2026-01-01T00:00:00",
    )


def test_removed_image_is_unknown() -> None:
    images = SimulatedImages([SimulatedImage("a")])
    images.remove("a")
    assert images.get("a") is None


def test_changing_deleting_or_removing_an_unknown_image_raises() -> None:
    images = SimulatedImages()
    for act in (images.change, images.delete, images.remove):
        with pytest.raises(KeyError):
            act("a")
