"""Expectations of an image: checks, suggestions and text."""
