"""The state of an image as the labels of one series."""

from collections.abc import Collection, Mapping, Sequence

from exporter.metrics.family import Row
from exporter.metrics.images.view import ImageView, clean_rows
from exporter.model.image import STATUSES, Image

STATE_LABELS = ("status", "public", "protected", "size_bytes", "algorithm", "digest")
"""The labels of the family."""

_GONE: Row = (("gone", "", "", "", "", ""),)
_NO_DIGEST = ("", "")
_FLAGS: Mapping[bool | None, str] = {None: "", False: "false", True: "true"}
_WITH_CONTENT = frozenset({"active", "deactivated"})
"""The statuses of images that have their final content."""


def state_info(views: Collection[ImageView]) -> Sequence[Row]:
    """Return the labels of each image, none if its existence is unknown."""
    rows = [_state(view) for view in views]
    return clean_rows(views, rows, first=STATE_LABELS.index("algorithm"))


def _state(view: ImageView) -> Row:
    if view.exists is False:
        return _GONE
    image = view.image
    if image is None:
        return ()
    status = image.status if image.status in STATUSES else "unknown"
    public, protected = _FLAGS[image.public], _FLAGS[image.protected]
    if status not in _WITH_CONTENT:
        # The digest and size of an upload may be announced before there is any data.
        return ((status, public, protected, "", *_NO_DIGEST),)
    size = str(image.size_bytes) if image.size_bytes else ""
    return ((status, public, protected, size, *_digest(image)),)


def _digest(image: Image) -> tuple[str, str]:
    """Return algorithm and value of the MD5, which all API versions report, or of another."""
    if not image.digests:
        return _NO_DIGEST
    digest = image.digests[0]
    if digest[0] != "md5":
        digest = next((pair for pair in image.digests if pair[0] == "md5"), digest)
    return digest
