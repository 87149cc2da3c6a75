"""The number of examples and repetitions: all in ``make check``, a fifth in ``make test``."""

import os

import hypothesis

IS_THOROUGH = os.environ.get("THOROUGH") == "1"


def examples(number: int) -> hypothesis.settings:
    """Return settings for this number of examples, or for a fifth without ``THOROUGH=1``."""
    return hypothesis.settings(max_examples=repetitions(number))


def repetitions(number: int) -> int:
    """Return this number, or a fifth without ``THOROUGH=1``."""
    return number if IS_THOROUGH else number // 5
