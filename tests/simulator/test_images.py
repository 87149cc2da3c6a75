import pytest

from exporter.simulator import SimulatedImage, SimulatedImages


def test_images_keep_their_order() -> None:
    """All images come in the order they were put, changed ones included."""
    images = SimulatedImages([SimulatedImage("b"), SimulatedImage("a")])
    images.put(SimulatedImage("c"))
    images.change("b", size=5)
    assert [image.id for image in images.all()] == ["b", "a", "c"]
    assert len(images) == 3


def test_change_touches_only_what_it_names() -> None:
    """A change gives the new image and leaves the other fields as they were."""
    images = SimulatedImages([SimulatedImage("a", name="old", size=1)])
    assert images.change("a", size=2) == SimulatedImage("a", name="old", size=2)
    assert images.get("a") == SimulatedImage("a", name="old", size=2)


def test_deleted_image_is_kept_and_marked() -> None:
    """Deleting keeps the record for administrators, with the time given."""
    images = SimulatedImages([SimulatedImage("a", protected=True)])
    deleted = images.delete("a", at="2026-01-01T00:00:00")
    assert images.get("a") is deleted
    assert (deleted.deleted, deleted.status, deleted.deleted_at) == (
        True,
        "deleted",
        "2026-01-01T00:00:00",
    )


def test_removed_image_is_unknown() -> None:
    """Removing forgets the image."""
    images = SimulatedImages([SimulatedImage("a")])
    images.remove("a")
    assert images.get("a") is None


def test_unknown_image_cannot_be_changed() -> None:
    """Changing, deleting and removing an unknown image raise KeyError."""
    images = SimulatedImages()
    for act in (images.change, images.delete, images.remove):
        with pytest.raises(KeyError):
            act("a")
