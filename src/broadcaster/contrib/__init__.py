"""Integrations with frameworks and databases, each loaded only where it is imported."""
