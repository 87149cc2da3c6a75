"""Protection of the pages: TLS, basic auth, rate limit and headers."""
