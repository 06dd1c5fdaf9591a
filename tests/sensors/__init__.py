"""sensors/ against the real kernel: every listener, connection and process here is real."""
