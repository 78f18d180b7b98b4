"""`broadcaster`, which says how many objects it has when it gets SIGUSR1."""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections import Counter

from broadcaster.cli import app


def main() -> None:
    """Run the program; a line of its log that begins with `objects:` is the answer to a signal."""
    signal.signal(signal.SIGUSR1, _count)
    app()


def _count(number: int, frame: object) -> None:
    gc.collect()
    counts = Counter(type(one) for one in gc.get_objects())
    # What calls itself a module may be a descriptor.
    ours = {
        kind.__name__: count
        for kind, count in counts.items()
        if str(kind.__module__).startswith("broadcaster.")
    }
    print(f"objects: {json.dumps({'all': counts.total(), **ours})}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
