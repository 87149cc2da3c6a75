"""``python -m exporter``, and the command ``openstack-image-exporter``."""

import os
import signal
import sys


def main() -> int:
    """Carries out what the arguments ask for and returns the exit status: see ``exporter.cli``."""
    if os.getpid() == 1:
        # The kernel keeps a signal that is not handled from process 1 of a container, and there is
        # much to import before `run` handles it.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    from exporter import cli  # noqa: PLC0415  # see above

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
