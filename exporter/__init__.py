"""Prometheus exporter for images of the OpenStack Image service."""

__version__ = "0.1.0"
