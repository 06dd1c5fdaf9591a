"""What lastack does to the world: one file per action, each step with an expected incarnation; wired by bootstrap."""
