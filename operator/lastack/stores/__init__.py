"""What is kept: the ledger, evidence files, records, and the door to the process that may write them."""
