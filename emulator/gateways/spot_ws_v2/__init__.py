"""Spot WebSocket v2: ``wss://ws.kraken.com/v2`` and ``wss://ws-auth.kraken.com/v2``."""
