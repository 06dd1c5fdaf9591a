"""Tests of what decides: each decision alone, whole incidents through the loop, and properties of any world."""
