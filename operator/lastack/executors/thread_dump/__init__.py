"""Thread dumps: a package per runtime, one series for all of them, and what a series says. Wired by bootstrap."""
