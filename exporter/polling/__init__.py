"""Polling of the clouds: cycles, discovery, their schedule and their log."""
