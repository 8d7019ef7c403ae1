"""Measuring links as a client sees them: lean probes, their figures, the report."""
