"""Entry point of ``python -m exporter`` and of ``openstack-image-exporter``."""

import os
import signal
import sys


def main() -> int:
    """Run the command that the arguments name, and return its exit status. See ``exporter.cli``."""
    if os.getpid() == 1:
        # The kernel does not deliver an unhandled signal to process 1 of a container, and importing
        # the rest takes most of the start.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    from exporter import cli  # noqa: PLC0415  # after the signal handler

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
