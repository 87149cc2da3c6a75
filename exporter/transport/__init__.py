"""HTTP/1.1 client: connection pool, TLS, proxies and rate limit."""
