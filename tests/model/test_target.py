from dataclasses import replace

from exporter.model.target import Target, TargetKey


def test_target_is_identified_by_cloud_and_id() -> None:
    assert (
        Target("lab", "1", "golden").key == TargetKey("lab", "1") == Target("lab", "1", "other").key
    )
    assert Target("lab", "1", "golden").key != Target("prod", "1", "golden").key


def test_labels_are_cloud_id_and_alias() -> None:
    assert Target("lab", "1", "golden").labels == ("lab", "1", "golden")


def test_only_selected_properties_are_exported() -> None:
    properties = (("os_distro", "ubuntu"), ("os_version", "24.04"))
    target = Target("lab", "1", "golden")
    assert target.select_properties(properties) == properties
    assert (
        replace(target, property_names=frozenset({"os_version"})).select_properties(properties)
        == properties[1:]
    )
    assert replace(target, property_names=frozenset()).select_properties(properties) == ()
