from dataclasses import replace

import pytest

from exporter.model.image import Image
from exporter.model.target import INFO_ATTRIBUTES, Target, TargetKey

LIMIT = 64
TARGET = Target("lab", "1", "golden", property_names=frozenset({"build"}), label_value_limit=LIMIT)
IMAGE = Image("v1", "1", "active")


def of_length(length: int) -> list[Image]:
    """Return images that have one text of this length each."""
    text = "x" * length
    return [
        *(replace(IMAGE, **{name: text}) for name in INFO_ATTRIBUTES),  # type: ignore[arg-type]  # all of these are texts
        replace(IMAGE, digests=(("md5", "a"), ("sha512", text))),
        replace(IMAGE, digests=((text, "a"),)),
        replace(IMAGE, properties=(("a", "b"), ("build", text))),
    ]


@pytest.mark.parametrize("image", of_length(LIMIT + 1))
def test_image_with_a_text_above_the_limit_has_cut_labels(image: Image) -> None:
    assert TARGET.has_cut_labels(image)


@pytest.mark.parametrize("image", [IMAGE, *of_length(LIMIT)])
def test_image_with_texts_up_to_the_limit_has_no_cut_labels(image: Image) -> None:
    assert not TARGET.has_cut_labels(image)


def test_limit_of_label_values_is_in_bytes() -> None:
    assert TARGET.has_cut_labels(replace(IMAGE, name="ü" * (LIMIT // 2 + 1)))
    assert not TARGET.has_cut_labels(replace(IMAGE, name="ü" * (LIMIT // 2)))


def test_limit_of_label_values_is_for_escaped_text() -> None:
    assert TARGET.has_cut_labels(replace(IMAGE, name="\n" * (LIMIT // 2 + 1)))
    assert not TARGET.has_cut_labels(replace(IMAGE, name="\n" * (LIMIT // 2)))


def test_long_property_that_is_not_exported_is_not_cut() -> None:
    assert not TARGET.has_cut_labels(replace(IMAGE, properties=(("other", "x" * 1000),)))


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
