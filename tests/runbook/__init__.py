"""What happened: entries, the chain, folds and records, without any world."""
