"""Spot WebSocket v1: ``wss://ws.kraken.com`` and ``wss://ws-auth.kraken.com`` without a path."""
