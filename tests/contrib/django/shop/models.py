"""What the tests write."""

from django.db import models


class Note(models.Model):  # type: ignore[misc]
    """A line that is there once."""

    text = models.CharField(max_length=80, unique=True)
