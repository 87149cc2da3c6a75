"""Conversion of API responses to images, one module for each API version."""
