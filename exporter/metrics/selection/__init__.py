"""Selection of the metric families that are served, and the alert rules that need the others."""
