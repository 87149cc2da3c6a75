import uuid

from exporter.demo.images import IMAGES


def test_a_dozen_images_with_fixed_ids() -> None:
    """There are twelve images, each with a UUID in lower case of its own."""
    ids = [image.id for image in IMAGES.values()]
    assert len(ids) == len(set(ids)) == 12
    assert [str(uuid.UUID(image_id)) for image_id in ids] == ids


def test_images_show_what_an_exporter_must_bear() -> None:
    """A hostile name, one without a size, and a protected public image are among them."""
    images = IMAGES.values()
    assert any({'"', "\\", "<", "\u202e", "{"} <= set(image.name) for image in images if image.name)
    assert any(image.status == "queued" and image.size is None for image in images)
    assert any(image.protected and image.visibility == "public" for image in images)
