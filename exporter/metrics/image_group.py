"""Rendered metrics of neighbouring targets, which are rendered again together."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import NamedTuple

from exporter.metrics.dirty_targets import DirtyTargets
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS, ImageFamily
from exporter.metrics.images.view import ImageView, view_of
from exporter.metrics.rendered_text import RenderedText
from exporter.metrics.sample_lines import format_labels, render_samples
from exporter.model.instant import Instant
from exporter.model.observation import Aspect
from exporter.model.target import Target
from exporter.store import Store


class _Replacement(NamedTuple):
    """New texts of some targets in a family, by the indexes of the targets in ascending order."""

    indexes: Sequence[int]
    texts: Sequence[str]


class _DirtyPart:
    """Targets of a group with the same dirty aspects.

    Attributes:
        aspects: The aspects.
        indexes: The indexes of the targets, in ascending order.
    """

    def __init__(
        self, aspects: Set[Aspect], indexes: Sequence[int], views: Sequence[ImageView]
    ) -> None:
        self.aspects = aspects
        self.indexes = indexes
        self._views = views
        self._labels = format_labels(IMAGE_LABELS, views)
        self._has_images = any(view.image is not None for view in views)

    def render(self, family: ImageFamily) -> Sequence[str]:
        """Render a family, in one text per target."""
        if family.needs_image and not self._has_images:
            return [""] * len(self._views)
        return render_samples(family.for_views(self._views), self._labels, self._views)


class ImageGroup:
    """The rendered metrics of some targets; not thread-safe.

    Attributes:
        targets: The targets, in the order of the exposition.
        dirty: The targets that must be rendered again.
        texts: The text of each family.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        store: Store,
        families: Sequence[ImageFamily] = IMAGE_FAMILIES,
    ) -> None:
        self.targets = targets
        self.dirty = DirtyTargets(targets, store)
        self.texts = tuple(RenderedText(len(targets)) for _ in families)
        self._families = families
        self._store = store

    def set_families(self, families: Sequence[ImageFamily]) -> None:
        """Replace the families: keep the texts of those that stay, and mark what others need."""
        texts = dict(zip(self._families, self.texts, strict=True))
        added = [family for family in families if family not in texts]
        texts |= {family: RenderedText(len(self.targets)) for family in added}
        self._families = families
        self.texts = tuple(texts[family] for family in families)
        aspects = frozenset(chain.from_iterable(family.aspects for family in added))
        for index in range(len(self.targets)) if aspects else ():
            self.dirty.mark_changed(index, aspects)

    def render(self, now: Instant) -> Set[int]:
        """Render all dirty targets, and return the indexes of the families that are different.

        They stay dirty if an error occurs, so that it loses no change.
        """
        views = {}
        for index in sorted(self.dirty.aspects):
            target = self.targets[index]
            views[index] = view_of(target, self._store.observation(target.key), now)
        parts = self._parts(views)
        different = set()
        # The text of a family is compressed while it is in the cache of the processor.
        for family_index, family in enumerate(self._families):
            replacements = [
                _Replacement(part.indexes, part.render(family))
                for part in parts
                if not part.aspects.isdisjoint(family.aspects)
            ]
            if replacements and self.texts[family_index].replace(*_merged(replacements)):
                different.add(family_index)
        self.dirty.mark_rendered(views)
        return different

    def _parts(self, views: Mapping[int, ImageView]) -> Sequence[_DirtyPart]:
        """Divide the dirty targets into those with the same dirty aspects."""
        indexes_by_aspects: dict[Set[Aspect], list[int]] = defaultdict(list)
        for index, view in views.items():
            indexes_by_aspects[self.dirty.aspects_to_render(index, view)].append(index)
        return [
            _DirtyPart(aspects, indexes, [views[index] for index in indexes])
            for aspects, indexes in indexes_by_aspects.items()
        ]


def _merged(replacements: Sequence[_Replacement]) -> _Replacement:
    """Return the replacements of different targets as one, in the order of the targets."""
    if len(replacements) == 1:
        return replacements[0]
    texts = {
        index: text
        for indexes, texts in replacements
        for index, text in zip(indexes, texts, strict=True)
    }
    indexes = sorted(texts)
    return _Replacement(indexes, [texts[index] for index in indexes])


def render_image(view: ImageView, families: Iterable[ImageFamily] = IMAGE_FAMILIES) -> str:
    """Render the sample lines of one image, as they are on ``/metrics``."""
    labels = format_labels(IMAGE_LABELS, [view])
    return "".join(
        render_samples(family.for_views([view]), labels, [view])[0] for family in families
    )


def group_targets(
    targets: Collection[Target],
    groups: Sequence[ImageGroup],
    size: int,
    new_group: Callable[[Sequence[Target]], ImageGroup],
) -> list[ImageGroup]:
    """Divide the targets into groups of at most ``size``, keeping groups that have not changed.

    Groups of less than half that size are not kept, so that changes do not leave many small ones.
    """
    sequence = tuple(targets)
    by_first = {group.targets[0].key: group for group in groups if len(group.targets) * 2 >= size}
    result: list[ImageGroup] = []
    start = end = 0
    while end < len(sequence):
        group = by_first.get(sequence[end].key)
        is_kept = group is not None and sequence[end : end + len(group.targets)] == group.targets
        if end > start and (is_kept or end - start == size):
            result.append(new_group(sequence[start:end]))
            start = end
        if group is not None and is_kept:
            result.append(group)
            start = end = end + len(group.targets)
        else:
            end += 1
    if end > start:
        result.append(new_group(sequence[start:end]))
    return result
