"""Commands for `manage.py`, each named like its module."""
