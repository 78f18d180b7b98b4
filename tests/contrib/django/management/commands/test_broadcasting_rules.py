from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO

from django.core.management import call_command

PROGRAM = """
from django.conf import settings

settings.configure(INSTALLED_APPS=["broadcaster.contrib.django"], MIDDLEWARE=[])

from django.core.management import execute_from_command_line

execute_from_command_line(["manage.py", "broadcasting_rules", "--skip-checks"])
"""


def test_it_lists_the_rules_of_the_project() -> None:
    out = StringIO()

    call_command("broadcasting_rules", stdout=out)

    lines = out.getvalue().splitlines()
    assert re.fullmatch(
        r"orders\.\{order_id\} \.+ tests\.contrib\.django\.shop\.broadcasting\.may_see_order", lines[0]
    )
    assert lines[-1] == f"{len(lines) - 2} rules"


def test_it_says_so_where_there_are_none() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr == "CommandError: there are no rules: nobody may join a private or a presence channel\n"
    )
