"""Runs once, after `copier copy`."""
