"""The story of the ``demo`` command, which runs on the simulated Image service."""
