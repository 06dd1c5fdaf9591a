"""What lastack says of itself while it runs: logs, later metrics. Projections of ledger entries, never the record."""
