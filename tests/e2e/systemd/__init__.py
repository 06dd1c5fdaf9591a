"""`lastack run` against real units of a real systemd: what the tests of test_systemd.py are played with."""
