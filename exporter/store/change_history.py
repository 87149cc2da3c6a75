"""The latest changes of each image, for people who look at it. Its memory is bounded."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import count

from exporter.model.changes import Change, ChangeEvent
from exporter.model.observation import Observation
from exporter.model.target import TargetKey
from exporter.text import shorten

MAX_OF_IMAGE = 20
"""Polls with a change to remember for an image."""

MAX_TOTAL = 10_000
"""Polls with a change to remember for all images: 7 MB, or up to 40 MB if names are long."""

MAX_VALUE_LENGTH = 255
"""Characters to remember of a value. The API chooses the length of a name."""


class ChangeHistory:
    """The latest polls that showed changes; not thread-safe.

    If there are too many for all images together, the oldest are forgotten, of whichever image.
    """

    def __init__(self, max_of_image: int = MAX_OF_IMAGE, max_total: int = MAX_TOTAL) -> None:
        self._max_of_image = max_of_image
        self._max_total = max_total
        self._numbers = count()
        self._events: OrderedDict[int, tuple[TargetKey, ChangeEvent]] = OrderedDict()
        self._of_image: defaultdict[TargetKey, list[int]] = defaultdict(list)

    def record(self, key: TargetKey, observation: Observation) -> None:
        """Record the last poll of an image, whose ``changed_at`` differs from before.

        Without new changes, the outcome of that poll was replaced, and what it had shown is
        forgotten.
        """
        if not observation.new_changes or observation.changed_at is None:
            self._forget_newest(key)
            return
        changes = tuple(
            Change(change.what, _bounded(change.old), _bounded(change.new))
            for change in observation.new_changes
        )
        self.add(key, ChangeEvent(observation.changed_at, changes, observation.request_id))

    def add(self, key: TargetKey, event: ChangeEvent) -> None:
        """Add a poll that showed changes of an image, later than all that are remembered."""
        number = next(self._numbers)
        self._events[number] = (key, event)
        self._of_image[key].append(number)
        if len(self._of_image[key]) > self._max_of_image:
            del self._events[self._of_image[key].pop(0)]
        if len(self._events) > self._max_total:
            _, (oldest_key, _) = self._events.popitem(last=False)
            self._of_image[oldest_key].pop(0)
            self._drop_if_empty(oldest_key)

    def events(self, key: TargetKey) -> Sequence[ChangeEvent]:
        """Return the remembered polls of an image, the newest first."""
        numbers = self._of_image.get(key, ())
        return [self._events[number][1] for number in reversed(numbers)]

    def forget(self, key: TargetKey) -> None:
        """Forget an image."""
        for number in self._of_image.pop(key, ()):
            del self._events[number]

    def _forget_newest(self, key: TargetKey) -> None:
        if key in self._of_image:
            del self._events[self._of_image[key].pop()]
            self._drop_if_empty(key)

    def _drop_if_empty(self, key: TargetKey) -> None:
        if not self._of_image[key]:
            del self._of_image[key]


def _bounded(value: object) -> object:
    return shorten(value, MAX_VALUE_LENGTH, "…") if isinstance(value, str) else value
