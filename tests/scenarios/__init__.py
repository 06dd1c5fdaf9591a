"""Whole stories on real servers, seen through the program as a person runs it."""
