"""What each command does, from built parts to an exit status."""

from enum import IntEnum


class Exit(IntEnum):
    """What the commands say to the shell."""

    OK = 0
    NOT_AS_EXPECTED = 1
    BAD_SETTINGS = 2
    INTERRUPTED = 130
