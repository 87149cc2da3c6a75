"""Texts and colours of values."""

from itertools import cycle

from dashboards.generate.colors import (
    BAD,
    BLUE,
    GOOD,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    VERMILION,
    WINE,
    YELLOW,
)
from dashboards.generate.promql import CHANGES
from exporter.metrics.exporter_metrics import CODES as STATUS_CODES
from exporter.model.outcome import REASONS as FAILURE_REASONS

YES_NO = {1: ("yes", GREY), 0: ("no", GREY)}
UP = {1: ("up", GOOD), 0: ("down", BAD)}
SUCCEEDED = {1: ("succeeded", GOOD), 0: ("failed", BAD)}
MET = {1: ("met", GOOD), 0: ("not met", BAD)}
PROTECTED = {1: ("protected", BLUE), 0: ("not protected", SKY)}
PUBLIC = {1: ("public", SKY), 0: ("not public", BLUE)}
HIDDEN = {1: ("hidden", SKY), 0: ("listed", BLUE)}
RENAMED = {1: ("renamed", BAD), 0: ("ok", GOOD)}
BREAKER = {1: ("open", BAD), 0: ("closed", GOOD)}

_REASON_COLORS = (ORANGE, VERMILION, PINK, YELLOW, WINE, GREEN, SKY, GREY)

REASONS = {
    "none": ("none", BLUE),
    **{
        str(reason): (reason, color)
        for reason, color in zip(FAILURE_REASONS, cycle(_REASON_COLORS), strict=False)
    },
}
"""Colour of each failure reason. Reasons that often occur together differ in colour."""

CHANGE_NAMES = {
    name: (name, color)
    for name, color in zip(CHANGES.values(), (ORANGE, WINE, BLUE, SKY), strict=True)
}
"""Colour of each kind of change."""

_CODES = (BLUE, GREEN, YELLOW, ORANGE, SKY, VERMILION, WINE, GREY)

CODES = {code: (code, color) for code, color in zip(STATUS_CODES, cycle(_CODES), strict=False)}
"""Colour of each documented status code."""
