"""Drivers carry messages out of the application."""
