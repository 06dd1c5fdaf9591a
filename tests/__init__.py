"""Tests of lastack: one folder per part of the program, and `waiting` for all."""
