"""The cost of looking, measured against programs that answer the same question: `make bench`."""
