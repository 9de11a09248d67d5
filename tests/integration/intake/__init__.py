"""Intake's own integration tests."""
