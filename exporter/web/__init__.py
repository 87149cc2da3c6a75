"""The web application and its HTTP server."""
