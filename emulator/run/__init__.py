"""`kraken-emulator run`: a command whose network is a tier, and who believes that the venue is Kraken."""
