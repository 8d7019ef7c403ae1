"""Benchmarks: order→ack beside the bare stack, measured in the same run (``make bench``)."""
