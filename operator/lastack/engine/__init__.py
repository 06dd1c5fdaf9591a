"""How it is decided: pure functions from samples to facts and steps. No I/O, no clock, no randomness."""
