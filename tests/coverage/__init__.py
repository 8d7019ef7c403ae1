"""What Kraken has, beside what is here: ``python -m tests.coverage`` writes docs/coverage.md."""
