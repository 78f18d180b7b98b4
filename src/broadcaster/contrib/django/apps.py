"""What Django does with broadcasting when it starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules

from broadcaster.contrib.django.checks import check_broadcasting

__all__ = ["BroadcastingConfig"]


class BroadcastingConfig(AppConfig):  # type: ignore[misc]
    """Imports the module `broadcasting` of every installed application, where the rules are."""

    name = "broadcaster.contrib.django"
    label = "broadcaster"
    verbose_name = "Broadcasting"

    def ready(self) -> None:
        """Find the rules, and register the system checks."""
        checks.register(check_broadcasting)
        autodiscover_modules("broadcasting")
