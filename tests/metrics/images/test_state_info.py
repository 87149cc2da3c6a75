from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.metrics.images.state_info import STATE_LABELS, state_info
from exporter.metrics.images.view import view_of
from exporter.model.image import STATUSES, Image
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.responses.v2_fields import image_from_document
from exporter.text import escape
from tests.support.images import ACTIVE, ID, MAX_STALE, TARGET, later, observed, parse_v1

MD5 = ("md5", "826ad52d67c55b1f07cabe148b8146ac")
SHA512 = ("sha512", "5" * 128)

GONE = {label: "gone" if label == "status" else "" for label in STATE_LABELS}
LIVING = {
    "status": "active",
    "public": "false",
    "protected": "true",
    "size_bytes": "2361393152",
    "algorithm": MD5[0],
    "digest": MD5[1],
}
WITHOUT_CONTENT = {"size_bytes": "", "algorithm": "", "digest": ""}
DELETED = replace(ACTIVE, status="deleted", deleted=True)


def states(observation: Observation, seconds: float = 0.0) -> list[Mapping[str, str]]:
    """Return the labels of each sample of a target."""
    (row,) = state_info([view_of(TARGET, observation, later(seconds))])
    return [dict(zip(STATE_LABELS, labels, strict=True)) for labels in row]


def state(image: Image) -> Mapping[str, str]:
    """Return the labels of the sample of an image."""
    (labels,) = states(observed(Found(image)))
    return labels


def test_existing_image_has_one_series_with_its_state() -> None:
    assert state(ACTIVE) == LIVING


@pytest.mark.parametrize("last", [Gone(), Found(DELETED)], ids=["404", "deleted"])
@pytest.mark.parametrize("seconds", [0.0, MAX_STALE + 1, 1e9])
def test_gone_image_is_gone_for_ever_also_if_an_administrator_sees_it(
    last: Gone | Found, seconds: float
) -> None:
    assert states(observed(Found(ACTIVE), last), seconds) == [GONE]


@pytest.mark.parametrize("status", ["deleted", "pending_delete", "active"])
def test_deleted_image_has_no_other_status_than_gone(status: str) -> None:
    assert state(replace(DELETED, status=status)) == GONE


def test_image_that_was_never_polled_has_no_series() -> None:
    assert states(NEVER_POLLED) == []
    assert states(observed(Failed("timeout"))) == []


def test_state_expires_with_the_other_values() -> None:
    failing = observed(Found(ACTIVE), Failed("timeout"))
    assert states(failing, MAX_STALE) == [LIVING]
    assert states(failing, MAX_STALE + 1) == []


@pytest.mark.parametrize("status", ["quarantined", "gone", "", "ACTIVE", 'x"} 1\n'])
def test_status_that_glance_does_not_document_is_unknown(status: str) -> None:
    assert state(replace(ACTIVE, status=status)) == LIVING | WITHOUT_CONTENT | {"status": "unknown"}


@pytest.mark.parametrize("label", ["public", "protected"])
@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (None, "")])
def test_flag_that_the_api_does_not_report_is_empty(
    label: str, value: bool | None, text: str
) -> None:
    image = replace(ACTIVE, **{label: value})  # type: ignore[arg-type]  # a flag
    assert state(image) == LIVING | {label: text}
    queued = replace(image, status="queued")
    assert state(queued) == LIVING | WITHOUT_CONTENT | {label: text, "status": "queued"}


@pytest.mark.parametrize(
    ("size", "text"), [(0, ""), (None, ""), (1, "1"), (2**62, "4611686018427387904")]
)
def test_size_is_a_whole_number_and_empty_if_it_is_not_known(size: int | None, text: str) -> None:
    """Open Telekom Cloud sends a size of 0 if the true one is unknown."""
    assert state(replace(ACTIVE, size_bytes=size)) == LIVING | {"size_bytes": text}


@pytest.mark.parametrize("status", sorted({*STATUSES} - {"deleted", "pending_delete"}))
def test_only_final_content_is_in_the_state(status: str) -> None:
    """A client may announce digest and size of an upload. A deactivated image keeps them."""
    has_content = status in {"active", "deactivated"}
    content = {} if has_content else WITHOUT_CONTENT
    assert state(replace(ACTIVE, status=status)) == LIVING | content | {"status": status}


@pytest.mark.parametrize(
    ("digests", "digest"),
    [
        ((MD5, SHA512), MD5),
        ((SHA512, MD5), MD5),
        ((SHA512,), SHA512),
        ((SHA512, ("sha256", "2" * 64)), SHA512),
        ((), ("", "")),
    ],
)
def test_md5_is_preferred_to_other_digests(
    digests: tuple[tuple[str, str], ...], digest: tuple[str, str]
) -> None:
    expected = LIVING | dict(zip(("algorithm", "digest"), digest, strict=True))
    assert state(replace(ACTIVE, digests=digests)) == expected


def test_both_api_versions_report_the_same_state() -> None:
    by_v1 = parse_v1(
        b"X-Image-Meta-Status: active",
        b"X-Image-Meta-Size: 2361393152",
        b"X-Image-Meta-Is_public: False",
        b"X-Image-Meta-Protected: True",
        b"X-Image-Meta-Checksum: " + MD5[1].encode(),
    )
    by_v2 = image_from_document(
        {
            "id": ID,
            "status": "active",
            "size": 2361393152,
            "visibility": "private",
            "protected": True,
            "checksum": MD5[1],
            "os_hash_algo": SHA512[0],
            "os_hash_value": SHA512[1],
        },
        ID,
    )
    assert isinstance(by_v1, Image)
    assert isinstance(by_v2, Image)
    assert [state(by_v1), state(by_v2)] == [LIVING] * 2


def test_hostile_digest_is_escaped_and_cut() -> None:
    hostile = 'a"\n\u202e'
    shown = state(replace(ACTIVE, digests=((hostile, hostile * 1000),)))
    assert shown["algorithm"] == escape(hostile)
    assert len(shown["digest"].encode()) == TARGET.label_value_limit
    assert "…" in shown["digest"]
