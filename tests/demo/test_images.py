import uuid

from exporter.demo.images import IMAGES


def test_twelve_images_have_unique_lower_case_uuids() -> None:
    ids = [image.id for image in IMAGES.values()]
    assert len(ids) == len(set(ids)) == 12
    assert [str(uuid.UUID(image_id)) for image_id in ids] == ids


def test_images_include_a_hostile_name_an_unknown_size_and_a_protected_public_one() -> None:
    images = IMAGES.values()
    assert any({'"', "\\", "<", "\u202e", "{"} <= set(image.name) for image in images if image.name)
    assert any(image.status == "queued" and image.size is None for image in images)
    assert any(image.protected and image.visibility == "public" for image in images)
