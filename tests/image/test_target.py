from exporter.image.target import Key, Target


def test_a_target_is_known_by_cloud_and_id() -> None:
    """Two clouds may hold one ID, and an alias does not tell targets apart."""
    assert Target("lab", "1", "golden").key == Key("lab", "1") == Target("lab", "1", "other").key
    assert Target("lab", "1", "golden").key != Target("prod", "1", "golden").key


def test_the_labels_are_of_the_operators_choosing() -> None:
    """Every series of an image carries cloud, ID and alias, in the order of their names."""
    assert Target("lab", "1", "golden").labels == ("lab", "1", "golden")
