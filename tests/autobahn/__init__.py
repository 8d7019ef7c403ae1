"""Autobahn's test suite of RFC 6455, against the gateways' own connection class."""
