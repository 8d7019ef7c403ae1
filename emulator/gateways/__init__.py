"""Acceptors of Kraken's protocols.

One folder a protocol, each with the same rooms: ``codec`` (wire to commands and events, pure),
``session`` (one client's state), ``endpoints`` or ``channels`` (wire name to handler, a table) and
``server`` (sockets).  What several protocols share stands in this folder itself.
"""
