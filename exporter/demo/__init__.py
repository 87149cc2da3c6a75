"""The demo: a story played on the simulated Image service."""
