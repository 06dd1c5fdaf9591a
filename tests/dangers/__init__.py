"""What dumps must never do to a process: each danger DANGER_RUNS times, on real ones (5; 50 in `make soak`)."""
