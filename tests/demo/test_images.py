import uuid

from exporter.demo.images import IMAGES
from exporter.demo.v2_images import NEW_UBUNTU, V2_IMAGES


def test_images_have_unique_lower_case_uuids() -> None:
    ids = [image.id for image in (*IMAGES.values(), *V2_IMAGES.values(), NEW_UBUNTU)]
    assert len(ids) == len(set(ids))
    assert [str(uuid.UUID(image_id)) for image_id in ids] == ids


def test_images_include_a_hostile_name_an_unknown_size_and_a_protected_public_one() -> None:
    images = IMAGES.values()
    assert any({'"', "\\", "<", "\u202e", "{"} <= set(image.name) for image in images if image.name)
    assert any(image.status == "queued" and image.size is None for image in images)
    assert any(image.protected and image.visibility == "public" for image in images)


def test_images_of_v2_include_a_hidden_one_and_one_of_the_community() -> None:
    assert any(image.hidden for image in V2_IMAGES.values())
    assert any(image.visibility == "community" for image in V2_IMAGES.values())
