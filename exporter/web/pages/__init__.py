"""The page for people and the JSON API."""
