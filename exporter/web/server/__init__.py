"""The HTTP server: listening, TLS handshakes and connection limits."""
