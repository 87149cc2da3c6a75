"""Commands: each takes an application and returns an exit status."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of all commands."""

    OK = 0
    NOT_AS_EXPECTED = 1
    BAD_SETTINGS = 2
    INTERRUPTED = 130
