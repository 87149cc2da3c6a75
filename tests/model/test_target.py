from dataclasses import replace

from exporter.model.target import Target, TargetKey


def test_a_target_is_known_by_cloud_and_id() -> None:
    """Two clouds may hold one ID, and an alias does not tell targets apart."""
    assert (
        Target("lab", "1", "golden").key == TargetKey("lab", "1") == Target("lab", "1", "other").key
    )
    assert Target("lab", "1", "golden").key != Target("prod", "1", "golden").key


def test_the_labels_are_of_the_operators_choosing() -> None:
    """Every series of an image carries cloud, ID and alias, in the order of their names."""
    assert Target("lab", "1", "golden").labels == ("lab", "1", "golden")


def test_properties_are_shown_where_they_are_asked_for() -> None:
    """Those that are known only to be judged are not; where nothing is said, all are shown."""
    held = (("os_distro", "ubuntu"), ("os_version", "24.04"))
    target = Target("lab", "1", "golden")
    assert target.select_properties(held) == held
    assert (
        replace(target, property_names=frozenset({"os_version"})).select_properties(held)
        == held[1:]
    )
    assert replace(target, property_names=frozenset()).select_properties(held) == ()
