"""Tables of metrics, and their rendering and exposition."""
