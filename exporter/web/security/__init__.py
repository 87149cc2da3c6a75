"""Security of the web server: TLS, basic auth, rate limit and headers."""
