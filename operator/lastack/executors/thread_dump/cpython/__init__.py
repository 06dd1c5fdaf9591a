"""CPython, by py-spy, from outside."""
