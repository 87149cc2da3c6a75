"""The state of an image as the labels of one series."""

from collections.abc import Mapping, Sequence

from exporter.metrics.images.view import ImageView
from exporter.model.image import STATUSES, Image

STATE_LABELS = ("status", "public", "protected", "size_bytes", "algorithm", "digest")
"""The labels of the family."""

_GONE: Mapping[tuple[str, ...], float] = {("gone", "", "", "", "", ""): 1.0}
_NO_DIGEST = ("", "")
_FLAGS: Mapping[bool | None, str] = {None: "", False: "false", True: "true"}
_WITH_CONTENT = frozenset({"active", "deactivated"})
"""The statuses of images that have their final content."""


def state_info(view: ImageView) -> Mapping[tuple[str, ...], float]:
    """Return the sample of an image whose existence is known."""
    if view.exists is False:
        return _GONE
    image = view.image
    if image is None:
        return {}
    status = image.status if image.status in STATUSES else "unknown"
    public, protected = _FLAGS[image.public], _FLAGS[image.protected]
    if status not in _WITH_CONTENT:
        # The digest and size of an upload may be announced before there is any data.
        return {(status, public, protected, "", *_NO_DIGEST): 1.0}
    size = str(image.size_bytes) if image.size_bytes else ""
    return {(status, public, protected, size, *_digest(view, image)): 1.0}


def _digest(view: ImageView, image: Image) -> Sequence[str]:
    """Return algorithm and value of the MD5, which all API versions report, or of another."""
    if not image.digests:
        return _NO_DIGEST
    digest = image.digests[0]
    if digest[0] != "md5":
        digest = next((pair for pair in image.digests if pair[0] == "md5"), digest)
    return view.label_values(digest)
