"""HTTP server: listening sockets, TLS handshakes, timeouts and the connection limit."""
