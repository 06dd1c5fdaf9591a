"""Go, by the profile that a program serves itself, or by delve where the policy allows a stop."""
