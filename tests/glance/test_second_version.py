"""Memory of what API v1 refuses."""

import pytest

from exporter.glance.second_version import MEMORY, SecondVersion
from exporter.glance.versions import V1
from exporter.model.outcome import Failed, NotFound
from exporter.model.replies import ImageReply, RequestFacts

FORBIDDEN = Failed("forbidden", "HTTP 403")
NOT_FOUND = ImageReply(RequestFacts(0.0, 0.0), NotFound())


@pytest.fixture
def memory() -> SecondVersion:
    return SecondVersion()


def test_image_is_requested_by_the_second_version_until_the_memory_ends(
    memory: SecondVersion,
) -> None:
    assert not memory.has("a", 0.0)
    memory.add("a", 0.0)
    assert [memory.has("a", now) for now in (0.0, MEMORY, MEMORY + 1.0)] == [True, True, False]
    assert not memory.has("b", 0.0)


def test_image_that_was_found_again_is_remembered_longer(memory: SecondVersion) -> None:
    memory.add("a", 0.0)
    memory.add("a", 1.0)
    assert memory.has("a", MEMORY + 1.0)


def test_forgotten_image_is_requested_by_the_first_version(memory: SecondVersion) -> None:
    memory.add("a", 0.0)
    for _ in range(2):
        memory.forget("a")
        assert not memory.has("a", 0.0)


def test_summary_is_empty_while_nothing_is_refused(memory: SecondVersion) -> None:
    memory.on_list_reply(None)
    assert memory.summary(0.0) == ""


def test_summary_counts_images_of_the_second_version(memory: SecondVersion) -> None:
    memory.add("a", 0.0)
    memory.add("b", 10.0)
    text = "v1: images that it cannot deliver, polled by v2: "
    assert memory.summary(MEMORY) == f"{text}2"
    assert memory.summary(MEMORY + 1.0) == f"{text}1"
    assert memory.summary(MEMORY + 11.0) == ""


@pytest.mark.parametrize("paths", [V1.list_paths, V1.control_list_paths])
def test_summary_names_lists_once_all_of_them_are_refused(
    memory: SecondVersion, paths: tuple[str, ...]
) -> None:
    memory.on_refused_list(paths[0], FORBIDDEN, 0.0)
    assert memory.summary(0.0) == ""
    memory.on_refused_list(paths[1], FORBIDDEN, 0.0)
    memory.add("a", 0.0)
    assert memory.summary(0.0) == (
        "v1: lists refused (HTTP 403), confirming deletions by v2; "
        "images that it cannot deliver, polled by v2: 1"
    )
    assert memory.summary(MEMORY + 1.0) == ""


def test_summary_names_the_refusal_for_which_the_version_was_left(memory: SecondVersion) -> None:
    memory.on_reply("a", NOT_FOUND)
    memory.on_switch(0.0)
    assert memory.summary(10 * MEMORY) == "v1: refused (HTTP 404), using v2"


def test_refused_list_is_the_refusal_for_which_the_version_was_left(memory: SecondVersion) -> None:
    memory.on_reply("a", NOT_FOUND)
    memory.on_list_reply(FORBIDDEN)
    memory.on_list_reply(Failed("timeout", "no response within 5 s"))
    memory.on_switch(0.0)
    assert memory.summary(0.0) == "v1: refused (HTTP 403), using v2"
