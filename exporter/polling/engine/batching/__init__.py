"""Batches: lists that poll many images at once, and the requests that follow when one fails."""
