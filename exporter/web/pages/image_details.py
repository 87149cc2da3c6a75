"""One image with all that is known about it, read from the store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from exporter.metrics.image_group import render_image
from exporter.metrics.image_metrics import IMAGE_FAMILIES, ImageFamily
from exporter.metrics.images.view import view_of
from exporter.model.changes import ChangeEvent
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.status import ImageStatus, image_status
from exporter.model.target import Target, TargetKey
from exporter.store import Store
from exporter.web.pages.snippets import ClientAccess, Snippet, commands, queries


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """An image at one moment.

    Attributes:
        now: The moment.
        status: The state and the problems of the image, with its observation.
        cloud: The state of its cloud.
        changes: The latest polls that showed a change, the newest first.
        former_image: The image as last described, if that is no longer its state.
        series: The sample lines of the image on ``/metrics``.
        queries: Queries of PromQL about the image.
        commands: Commands that request the image from its cloud.
    """

    now: Instant
    status: ImageStatus
    cloud: CloudState
    changes: Sequence[ChangeEvent]
    former_image: Image | None
    series: Sequence[str]
    queries: Sequence[Snippet]
    commands: Sequence[Snippet]


def image_path(target: Target) -> str:
    """Return the path of an image, relative to the first page.

    A browser resolves a segment of one or two dots, even if they are encoded. So such a name is
    encoded twice, and ``find_image`` decodes it once more.
    """
    is_dots = target.cloud in {".", ".."}
    cloud = target.cloud.replace(".", "%2E") if is_dots else target.cloud
    return f"images/{quote(cloud, safe='')}/{quote(target.image_id, safe='')}"


def find_image(
    store: Store,
    cloud: str,
    image_id: str,
    now: Instant,
    accesses: Mapping[str, ClientAccess],
    *,
    families: Iterable[ImageFamily] = IMAGE_FAMILIES,
) -> ImageDetails | None:
    """Return the image that a path names, see ``image_path``, or None if it is not watched.

    Args:
        store: The state.
        cloud: The name of the cloud in the path.
        image_id: The ID in the path.
        now: The moment.
        accesses: The settings with which a command line signs in, by the name of the cloud.
        families: The metrics of images that are served.
    """
    entry = store.find(TargetKey(cloud, image_id)) or store.find(
        TargetKey(unquote(cloud), image_id)
    )
    if entry is None:
        return None
    target, observation, state, changes = entry
    status = image_status(target, observation, now)
    image = status.observation.image
    return ImageDetails(
        now=now,
        status=status,
        cloud=state,
        changes=changes,
        former_image=None if image and image.exists else observation.change_baseline.image,
        # Not splitlines(): a label value may contain other line separators.
        series=render_image(view_of(target, observation, now), families).split("\n")[:-1],
        queries=queries(target),
        commands=commands(target, accesses.get(target.cloud), state.api_version),
    )


def basis(status: ImageStatus) -> str:
    """Return the evidence for the state, in a sentence."""
    observation = status.observation
    if observation.polled_at is None:
        return "No poll has finished yet."
    if observation.exists is None:
        return "No response has described the image, or not recently enough."
    if observation.image is not None:
        return "A response describes the image" + ("." if observation.exists else " as deleted.")
    if observation.gone_evidence is None:
        return "The image is not found."
    return f"{observation.gone_evidence.summary}."
