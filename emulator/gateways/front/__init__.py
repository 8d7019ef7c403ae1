"""The one HTTP port: REST or WebSocket by the request itself, virtual hosts by the Host header, TLS."""
