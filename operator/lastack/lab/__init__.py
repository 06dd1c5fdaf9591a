"""Each disease on purpose, in a network namespace of its own: for `lastack lab`, `lastack demo` and tests."""
