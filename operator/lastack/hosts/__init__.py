"""Where members live: one folder per host, with the same file names in each; named by bootstrap alone."""
