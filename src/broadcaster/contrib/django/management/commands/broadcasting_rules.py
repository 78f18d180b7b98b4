"""Lists the rules of the project."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from broadcaster.contrib.django import broadcast
from broadcaster.rules.listing import NO_RULES, listing

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc]
    """Says which function decides about which channels."""

    help = "Lists the rules that say who may join which channel."

    def handle(self, **_options: Any) -> None:
        """Write the rules; raise CommandError where there are none."""
        lines = listing(broadcast.rules, width=get_terminal_size().columns)
        if not lines:
            raise CommandError(NO_RULES)
        self.stdout.write("\n".join(lines))
