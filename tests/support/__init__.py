"""Shared test tools: waiting, a fake clock, running the program, images, and fakes."""
