"""Samples of images that take more than a row of the table of metrics."""
