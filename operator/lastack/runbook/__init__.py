"""What happened: ledger entries, their chain, what they add up to, and how they read. Pure."""
