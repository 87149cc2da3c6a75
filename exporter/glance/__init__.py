"""All that knows OpenStack on the wire."""
