"""Fakes of the services around the exporter, beyond what its demo needs."""
