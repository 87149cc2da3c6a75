"""Shared test tools: waiting, a fake clock and fakes of the services the exporter talks to."""
