from __future__ import annotations

from django.apps import apps

from broadcaster.contrib.django import broadcast


def test_the_rules_of_every_application_are_found() -> None:
    assert {"rooms.{room}", "orders.{order_id}"} <= set(broadcast.rules.patterns)


def test_the_application_has_a_label_that_a_project_does_not_want_for_itself() -> None:
    assert apps.get_app_config("broadcaster").name == "broadcaster.contrib.django"
