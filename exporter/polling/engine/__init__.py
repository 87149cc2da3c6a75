"""The pure part of polling: decide what is requested and what a response means."""
