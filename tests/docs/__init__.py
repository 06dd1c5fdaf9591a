"""Holds the documentation true: links, commands, tables and pictures."""
