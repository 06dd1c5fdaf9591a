"""Handlers for servers that we did not write; everything else about these servers is their default."""
