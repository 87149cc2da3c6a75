"""The controls of probes, by whole cycles without threads."""

import itertools
from collections.abc import Iterator

import pytest

from exporter.model.image import Image
from exporter.model.outcome import Found, GoneEvidence, ImageResult
from exporter.polling.engine.contradictions import ContradictionMemory
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind, Suspicion
from tests.support.simulated_cycle import (
    FOUND_BEFORE,
    LIST_OK,
    NOT_FOUND,
    START,
    FakeReply,
    detail,
    evidence,
    failed,
    found,
    image_id_of,
    replies_by_image,
    requests_of,
    run_cycle,
)

AB = frozenset("ab")


def test_controls_are_used_in_turn() -> None:
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, **{i: found(i) for i in "bcd"}}
    run = run_cycle("abcd", replies_by_image(table))
    assert evidence(run, "a").controls == ("b", "c", "d")


def test_unwatched_image_of_the_list_is_a_control() -> None:
    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return FakeReply(None, listed_ids=("other",))
        return NOT_FOUND if image_id_of(request) == "a" else found("other")

    run = run_cycle("a", respond, history=FOUND_BEFORE)
    assert run.outcome_names == {"a": "gone"}
    assert evidence(run, "a").controls == ("other",)
    probes = run.ids_requested(RequestKind.PROBE)
    assert len(probes) == 1 + 3, "one to find the control in the list"


def test_image_that_the_list_has_is_not_gone() -> None:
    """The service contradicts itself."""
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}, FakeReply(None, listed_ids=("a", "b"))))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "the list of images has it" in detail(run.outcomes["a"])
    assert run.contradictions


def test_list_is_no_control_if_an_image_was_found() -> None:
    """The only control turns 404, so the list of that server proves nothing."""
    seen = iter([found("b")])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return LIST_OK
        return next(seen, NOT_FOUND) if image_id_of(request) == "b" else NOT_FOUND

    run = run_cycle("ab", respond)
    assert run.outcome_names == {"a": "unconfirmed", "b": "found"}
    assert "no control" in detail(run.outcomes["a"]) or "nothing proves" in detail(
        run.outcomes["a"]
    )


def test_control_that_is_404_and_found_again_is_a_contradiction() -> None:
    answers: Iterator[ImageResult] = iter([found("b"), NOT_FOUND, found("b")])

    def respond(request: PollRequest, _: float) -> ImageResult:
        return NOT_FOUND if image_id_of(request) == "a" else next(answers, found("b"))

    run = run_cycle("ab", respond)
    assert [c.image_id for c in run.contradictions] == ["b"]
    assert run.outcome_names == {"a": "unconfirmed", "b": "found"}
    assert "servers contradict each other" in detail(run.outcomes["a"])


def test_control_that_was_deleted_meanwhile_is_no_contradiction() -> None:
    answers = iter([found("b")])

    def respond(request: PollRequest, _: float) -> ImageResult:
        image_id = image_id_of(request)
        if image_id == "c":
            return found("c")
        return NOT_FOUND if image_id == "a" else next(answers, NOT_FOUND)

    run = run_cycle("abc", respond)
    assert run.contradictions == []
    assert run.outcome_names == {"a": "gone", "b": "found", "c": "found"}


def test_another_existing_image_is_the_control_before_its_own_poll() -> None:
    """It shows early that not all images are 404."""
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": found("b"), "c": found("c")}
    run = run_cycle(
        "abc",
        replies_by_image(table),
        history=CycleHistory(any_found=True, existing=frozenset("abc")),
    )
    assert run.outcome_names["a"] == "gone"
    gone_at = next(count for target, _, count in run.results if target.image_id == "a")
    polls = [h for h in run.roundtrips[:gone_at] if h.request.kind is RequestKind.POLL]
    assert len(polls) == 1


def test_image_is_a_control_although_the_list_fails() -> None:
    history = CycleHistory(any_found=True, existing=AB)
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": found("b")}, failed("server_error")),
        history=history,
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}
    assert run.ids_requested(RequestKind.LIST) == []


def test_list_names_other_controls_if_the_only_one_is_gone() -> None:
    answers = iter([found("b")])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        image_id = image_id_of(request)
        if not image_id:
            return FakeReply(None, listed_ids=("other",))
        if image_id == "other":
            return found("other")
        return next(answers, NOT_FOUND) if image_id == "b" else NOT_FOUND

    run = run_cycle("ab", respond, history=CycleHistory(any_found=True, existing=AB, immediate=AB))
    assert run.outcome_names["a"] == "gone"
    assert evidence(run, "a").controls == ("other",)


def test_list_that_is_404_once_does_not_end_the_search_for_a_control() -> None:
    answers: Iterator[FakeReply | ImageResult] = iter([NOT_FOUND, LIST_OK, NOT_FOUND])
    run = run_cycle(
        "a",
        lambda request, _: NOT_FOUND if image_id_of(request) else next(answers, LIST_OK),
        history=FOUND_BEFORE,
    )
    assert run.outcome_names == {"a": "gone"}


def test_existing_images_are_no_controls_after_a_suspected_mass_404() -> None:
    """All of them are probably gone, so the list is the first source of controls."""
    ids = [f"image-{number}" for number in range(8)]

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return FakeReply(None, listed_ids=("other",))
        return found("other") if image_id_of(request) == "other" else NOT_FOUND

    history = CycleHistory(any_found=True, existing=frozenset(ids), mass_404_suspected=True)
    run = run_cycle(ids, respond, history=history)
    assert set(run.outcome_names.values()) == {"gone"}
    assert {request.control for _, request in run.sent if request.kind is RequestKind.PROBE} == {
        None,
        "other",
    }


def test_control_that_one_server_lacks_is_used_again_while_servers_contradict_each_other() -> None:
    """It is the only control, so each probe needs it."""
    answers: Iterator[ImageResult] = itertools.cycle([found("other")] * 3 + [NOT_FOUND])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return FakeReply(None, listed_ids=("other",))
        return next(answers) if image_id_of(request) == "other" else NOT_FOUND

    evidence_before = Suspicion(GoneEvidence(START - 60.0), 20, 6, 27, is_complete=True)
    history = CycleHistory(
        existing=frozenset("a"),
        contradictions=ContradictionMemory(until=START + 1000.0),
        suspicions={"a": evidence_before},
    )
    run = run_cycle("a", respond, history=history)
    assert run.outcome_names == {"a": "gone"}
    assert run.contradictions


def test_unwatched_control_that_is_404_and_found_again_is_a_contradiction() -> None:
    answers: Iterator[ImageResult] = iter([found("other"), NOT_FOUND, found("other")])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return FakeReply(None, listed_ids=("other",))
        return next(answers, found("other")) if image_id_of(request) == "other" else NOT_FOUND

    run = run_cycle("a", respond)
    assert [c.image_id for c in run.contradictions] == ["other"]
    assert run.outcome_names == {"a": "unconfirmed"}


def test_list_with_images_that_are_404_is_no_control() -> None:
    """A policy or a gateway has lost all single images. The suspect may be on a later page."""
    list_reply = FakeReply(None, listed_ids=("b", "c"))
    replies = replies_by_image(dict.fromkeys("abc", NOT_FOUND), list_reply)
    run = run_cycle("a", replies)
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "the list of images has others that are 404 as well" in detail(run.outcomes["a"])
    probes = [request for _, request in run.sent if request.kind is RequestKind.PROBE]
    assert len([request for request in probes if request.control is None]) <= 1 + 3


def test_list_with_other_suspects_is_no_control() -> None:
    """All images of the first page are watched, and one image of a later page."""
    list_reply = FakeReply(None, listed_ids=("b", "c"))
    replies = replies_by_image(dict.fromkeys("abc", NOT_FOUND), list_reply)
    ids = frozenset("abc")
    history = CycleHistory(any_found=True, existing=ids, immediate=ids, mass_404_suspected=True)
    run = run_cycle("abc", replies, history=history)
    assert set(run.outcome_names.values()) == {"unconfirmed"}


def test_list_is_a_control_once_it_lacks_the_image_that_was_deleted_meanwhile() -> None:
    lists = iter([FakeReply(None, listed_ids=("b",))] * 2)

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        return NOT_FOUND if image_id_of(request) else next(lists, LIST_OK)

    run = run_cycle("a", respond, history=FOUND_BEFORE)
    assert run.outcome_names == {"a": "gone"}
    assert evidence(run, "a").controls == ("list",)


@pytest.mark.parametrize(
    ("reply", "outcome"), [(found("b"), "gone"), (NOT_FOUND, "unconfirmed")], ids=["found", "404"]
)
def test_image_that_was_gone_and_that_the_list_has_is_requested_as_a_control(
    reply: ImageResult, outcome: str
) -> None:
    """It was created again after its poll, or all single images are 404."""

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return FakeReply(None, listed_ids=("b",))
        is_control = request.kind is RequestKind.PROBE and request.control != image_id_of(request)
        return reply if image_id_of(request) == "b" and is_control else NOT_FOUND

    history = CycleHistory(
        any_found=True, existing=frozenset("a"), gone=frozenset("b"), immediate=frozenset("b")
    )
    run = run_cycle("ab", respond, history=history)
    assert run.outcome_names == {"a": outcome, "b": "gone"}
    probes = [request for _, request in run.sent if request.kind is RequestKind.PROBE]
    assert len(probes) <= 1 + 3
    if outcome == "gone":
        assert evidence(run, "a").controls == ("b",)
    else:
        assert "the list of images has others" in detail(run.outcomes["a"])


@pytest.mark.parametrize(("created_at", "contradictions"), [(START, 0), (START - 3600.0, 1)])
def test_control_that_was_created_again_after_its_404_is_no_contradiction(
    created_at: float, contradictions: int
) -> None:
    image = Found(Image("v1", "b", "active", created_at=created_at, updated_at=created_at))
    answers: Iterator[ImageResult] = iter([image, NOT_FOUND])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if not image_id_of(request):
            return LIST_OK
        return next(answers, image) if image_id_of(request) == "b" else NOT_FOUND

    history = CycleHistory(any_found=True, existing=AB, service_clock=0.0, immediate=AB)
    run = run_cycle("ba", respond, history=history)
    assert len(run.contradictions) == contradictions


@pytest.mark.parametrize("count", [1, 500])
def test_empty_list_is_no_control_before_an_image_was_found(count: int) -> None:
    """With valid credentials of a wrong project, images are 404 and lists are empty."""
    ids = [f"image-{number}" for number in range(count)]
    first = run_cycle(ids, replies_by_image(dict.fromkeys(ids, NOT_FOUND)))
    second = run_cycle(
        ids, replies_by_image(dict.fromkeys(ids, NOT_FOUND)), history=first.cycle.history()
    )
    for run in (first, second):
        assert set(run.outcome_names.values()) == {"unconfirmed"}
        assert {detail(outcome) for outcome in run.outcomes.values()} == {
            "404, but the list of images is empty, as in a wrong project"
        }
    assert requests_of(second) <= count + 3


def test_empty_list_is_a_control_after_an_image_was_found() -> None:
    first = run_cycle("a", replies_by_image({"a": found("a")}))
    second = run_cycle(
        "a", replies_by_image({"a": NOT_FOUND}), history=first.next_history(CycleHistory())
    )
    assert second.outcome_names == {"a": "gone"}
