"""Prometheus exporter for images of the OpenStack Image service."""

__version__ = "0.1.0"

HOMEPAGE = "https://example.com/openstack-image-exporter"
"""Where the project lives, for links to it."""
