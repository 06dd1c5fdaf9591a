"""A small real process supervisor for the demo, the lab and tests, and its adapter to ports.ServiceHost."""
