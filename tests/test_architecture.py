"""The rules of the house, read off the source: layers, halves, the pure core, third parties, twins."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import broadcaster

ROOT = Path(broadcaster.__file__).parent

# Rule 1. What a module imports lies in its own layer or in a lower one.
LAYERS = {
    0: {"_version", "errors"},
    1: {
        "_classes",
        "_forms",
        "_slots",
        "channels",
        "context",
        "encoding",
        "encryption",
        "messages",
        "sealing",
        "signing",
    },
    2: {"events", "protocol", "rules", "signals", "transactions"},
    3: {"cluster", "drivers", "queues"},
    4: {
        "_sources",
        "_spans",
        "_tracing",
        "answers",
        "auth_requests",
        "authorization",
        "config",
        "dispatcher",
        "manager",
        "plans",
        "server",
        "webhooks",
    },
    5: {"client", "contrib", "demo", "doctor", "pytest_plugin", "testing"},
    6: {"__main__", "cli"},
}

# Rule 2. The two halves share what lies below them, and meet in what lies above them only.
SENDING = {
    "_sources",
    "_spans",
    "_tracing",
    "answers",
    "auth_requests",
    "authorization",
    "config",
    "dispatcher",
    "drivers",
    "events",
    "manager",
    "plans",
    "queues",
    "rules",
    "signals",
    "transactions",
    "webhooks",
}
SERVING = {"cluster", "protocol", "server"}

# Rule 3. The protocol is a function of text and time.
IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "signal", "threading", "_thread"),
    *("http", "select", "selectors", "socket", "socketserver", "ssl", "subprocess", "urllib.request"),
    *("datetime", "os", "pathlib", "random", "secrets", "sys", "tempfile", "time", "uuid"),
}

# Rule 4. One module of each half imports a third-party package, but for these.
SHARED = {
    "pydantic": "values of many classes are pydantic models, and its types stand in their signatures",
    "pydantic_core": "the part of pydantic that encodes and decodes JSON",
}
ONLY_FOR = {
    **{
        name: {"contrib"}
        for name in ("asgiref", "django", "fastapi", "flask", "litestar", "sqlalchemy", "starlette")
    },
    "pytest": {"pytest_plugin", "testing"},
    "rich": {"cli", "demo"},
    "typer": {"cli"},
}

# Rule 5. Twins differ by these names, by `await`, and by nothing else, but for the exceptions.
RENAMED = {
    "asyncio.sleep": "time.sleep",
    "AsyncExitStack": "ExitStack",
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "push_async_callback": "callback",
}
DIFFERENT = {
    "drivers._ably_sdk.AblyClient._asend": "threads share a client of the SDK, an event loop has its own",
    "drivers._ably_sdk.AblyClient.aclose": "an event loop has a client besides that of the threads",
    "drivers._http.HttpClient._asend": "one HTTP client serves threads, another one event loops",
    "drivers._http.HttpClient.aclose": "an event loop has a session besides the pool of the threads",
    "drivers._redis_client.RedisClient.arun": "threads share connections, an event loop has its own",
    "drivers._redis_client.RedisClient.aclose": "an event loop has connections besides those of the threads",
    "drivers.local.LocalDriver.adeliver": "one waits for the future itself, the other lets the loop do it",
    "drivers.stack.StackDriver._aeach": "threads take one driver after another, coroutines all at once",
    "drivers.log.LogDriver.adeliver": "to write a line is not to wait",
    "manager.BroadcastManager._atake": "only coroutines leave what may block to threads",
    "queues._on_redis.OnRedis.aclose": "its client blocks, so a thread uses it",
    "queues._on_redis.OnRedis.apush": "its client blocks, so a thread uses it",
    "queues.dramatiq.DramatiqQueue.aclose": "a thread closes, since the clients block",
    "queues.dramatiq.DramatiqQueue.apush": "a thread pushes, since the clients block",
    "queues.memory.MemoryQueue.aclose": "a thread waits for the end of the other thread",
    "queues.memory.MemoryQueue.apush": "only waiting for room is left to a thread",
    "queues.sqlite.SqliteQueue.aclose": "a thread closes the file",
    "queues.sqlite.SqliteQueue.apush": "a thread waits for the disk",
    "rules.calls.Call.amade": "only coroutines wait for async functions, and leave others to threads",
    "rules.calls.arun": "only coroutines leave what may block to threads",
}

MAX_LINES = 320


@dataclass(frozen=True)
class Module:
    """One module of the package; its name is that after `broadcaster.`."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """The module, parsed."""
        return ast.parse(self.source)

    @property
    def unit(self) -> str:
        """The module or package of the top level that it belongs to."""
        return self.name.partition(".")[0]

    @property
    def layer(self) -> int:
        """The number of its layer."""
        for number, units in LAYERS.items():
            if self.unit in units:
                return number
        pytest.fail(f"broadcaster.{self.unit} is in no layer; add it to LAYERS in tests/test_architecture.py")

    @property
    def half(self) -> str:
        """Which half it belongs to; what lies above the halves is a half of its own."""
        if self.unit in SENDING:
            return "sending"
        if self.unit in SERVING:
            return "serving"
        return "shared" if self.layer < 2 else self.unit

    @property
    def is_public(self) -> bool:
        """Whether users may import it."""
        return not any(part.startswith("_") for part in self.name.split("."))

    def imported(self) -> Iterator[tuple[str, str]]:
        """Yield every (module, name) that is imported, also in functions and for type checkers."""
        package = ["broadcaster", *self.name.split(".")]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + self.is_package - node.level] if node.level else []
                module = ".".join([*above, node.module or ""]).strip(".")
                yield from ((module, alias.name) for alias in node.names)


def read() -> dict[str, Module]:
    """Read every module but the package itself, which is a page of names; see test_init.py."""
    modules = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        if name := ".".join(parts[:-1] if is_package else parts):
            modules[name] = Module(name, path.read_text("utf-8"), is_package)
    return modules


MODULES = read()


def targets(module: Module, modules: dict[str, Module]) -> set[str]:
    """Return the modules of this package that *module* imports."""
    found = set()
    for origin, name in module.imported():
        root, _, path = origin.partition(".")
        if root != "broadcaster":
            continue
        if f"{path}.{name}".strip(".") in modules:
            found.add(f"{path}.{name}".strip("."))
        elif path:
            found.add(path)
        else:
            found.add(broadcaster._HOMES[name])
    return found - {module.name}


def third_parties(module: Module) -> set[str]:
    """Return the packages of other people that *module* imports."""
    roots = {origin.partition(".")[0] for origin, _ in module.imported()}
    return roots - sys.stdlib_module_names - {"broadcaster"}


# The rules: each returns what breaks it.


def pointing_up(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.name} (layer {module.layer}) imports {target} (layer {Module(target, '').layer})"
        for module in modules.values()
        for target in sorted(targets(module, modules))
        if Module(target, "").layer > module.layer
    ]


def cycles(modules: dict[str, Module]) -> list[str]:
    graph = {module.name: targets(module, modules) for module in modules.values()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def across(modules: dict[str, Module]) -> list[str]:
    halves = {"sending", "serving"}
    return [
        f"{module.name} ({module.half}) imports {target} ({Module(target, '').half})"
        for module in modules.values()
        for target in sorted(targets(module, modules))
        if {module.half, Module(target, "").half} == halves
    ]


def impure(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.name} imports {origin}"
        for module in modules.values()
        if module.unit == "protocol"
        for origin, name in module.imported()
        if {origin, origin.partition(".")[0], f"{origin}.{name}"} & IMPURE
    ]


def scattered(modules: dict[str, Module]) -> list[str]:
    users: dict[tuple[str, str], list[Module]] = {}
    for module in modules.values():
        for package in third_parties(module) - SHARED.keys():
            users.setdefault((package, module.half), []).append(module)
    return [
        f"{package} is imported by {', '.join(module.name for module in found)}"
        for (package, half), found in users.items()
        if (half not in ONLY_FOR[package] if package in ONLY_FOR else len(found) > 1)
    ]


Function = ast.FunctionDef | ast.AsyncFunctionDef


def twins(modules: dict[str, Module]) -> dict[str, tuple[Function, ast.AsyncFunctionDef]]:
    """Return every verb that stands beside its async twin, by the full name of the twin."""
    return {
        ".".join([*scope, name]): (functions[verb], twin)
        for module in modules.values()
        for scope, functions in scopes(module.tree, [module.name])
        for name, twin in functions.items()
        if isinstance(twin, ast.AsyncFunctionDef) and (verb := blocking_name(name)) in functions
    }


def scopes(node: ast.AST, path: list[str]) -> Iterator[tuple[list[str], dict[str, Function]]]:
    inside = list(ast.iter_child_nodes(node))
    yield path, {child.name: child for child in inside if isinstance(child, Function)}
    for child in inside:
        yield from scopes(child, [*path, child.name] if isinstance(child, Function | ast.ClassDef) else path)


def blocking_name(name: str) -> str:
    """Return the verb that `averb`, `_averb` or `__averb__` would be the twin of."""
    return re.sub(r"^(_*)a", r"\1", name)


class Blocking(ast.NodeTransformer):
    """Turns async code into what it would be if nothing waited, without its docstrings."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(items=node.items, body=node.body))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(
            ast.For(target=node.target, iter=node.iter, body=node.body, orelse=node.orelse)
        )

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)


def told(function: Function, known: set[str]) -> str:
    """Return the parameters and the body as text, waiting and twins' names taken out."""
    plain: Function = Blocking().visit(deepcopy(function))
    body = [line for line in plain.body[bool(ast.get_docstring(plain)) :] if not isinstance(line, ast.Pass)]
    parts = [plain.args, *([plain.returns] if plain.returns else []), *body]
    text = "\n".join(ast.unparse(ast.fix_missing_locations(part)) for part in parts)
    text = text.replace("async def ", "def ")
    for waiting, blocking in RENAMED.items():
        text = re.sub(rf"\b{re.escape(waiting)}\b", blocking, text)
    return re.sub(r"\b_*a\w+", lambda m: blocking_name(m[0]) if m[0] in known else m[0], text)


def drifted(modules: dict[str, Module]) -> list[str]:
    found = twins(modules)
    known = {name.rpartition(".")[2] for name in found}
    return [name for name, (verb, twin) in found.items() if told(verb, known) != told(twin, known)]


def without_page(modules: dict[str, Module]) -> list[str]:
    """Return the modules whose docstring does not open with a sentence on a line of its own."""
    return [
        module.name
        for module in modules.values()
        if not re.match(r"[A-Z`].*\.(\n\n|\Z)", ast.get_docstring(module.tree) or "")
    ]


def without_names(modules: dict[str, Module]) -> list[str]:
    """Return the public modules that have something in them, and no sorted `__all__`."""
    return [
        module.name
        for module in modules.values()
        if module.is_public
        and len(module.tree.body) > 1
        and exported(module) != in_order(exported(module) or [])
    ]


def exported(module: Module) -> list[str] | None:
    for node in module.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name("__all__")], value=ast.List(elts=names)):
                return [str(name.value) for name in names if isinstance(name, ast.Constant)]
    return None


def in_order(names: list[str]) -> list[str]:
    """Sort as ruff does: constants, classes, then the rest."""
    return sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def too_long(modules: dict[str, Module]) -> list[str]:
    return [module.name for module in modules.values() if module.source.count("\n") > MAX_LINES]


# The house itself.


def test_every_module_has_its_place_in_a_layer() -> None:
    places = [unit for units in LAYERS.values() for unit in units]

    assert len(places) == len(set(places))
    assert all(module.layer >= 0 for module in MODULES.values())


def test_every_module_between_the_values_and_the_surfaces_belongs_to_one_half() -> None:
    between = {unit for number in (2, 3, 4) for unit in LAYERS[number]}

    assert between == SENDING | SERVING
    assert not SENDING & SERVING


def test_imports_point_down() -> None:
    assert pointing_up(MODULES) == []


def test_imports_make_no_cycle() -> None:
    assert cycles(MODULES) == []


def test_the_two_halves_import_nothing_of_each_other() -> None:
    assert across(MODULES) == []


def test_the_protocol_imports_no_clock_no_loop_and_no_dice() -> None:
    assert impure(MODULES) == []


def test_a_third_party_package_has_one_module_that_imports_it() -> None:
    assert scattered(MODULES) == []


def test_the_manager_loads_no_client_and_no_server() -> None:
    clients = {"ably", "aiohttp", "dramatiq", "pika", "pusher", "redis", "urllib3"}
    others = {"httptools", "pytest", "rich", "typer", "uvloop", "websockets"}
    program = "import sys, broadcaster.manager; print(*sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = {name.partition(".")[0] for name in result.stdout.split()}

    assert "pydantic" in loaded
    assert not loaded & (clients | others)


def test_twins_differ_by_await_and_nothing_else() -> None:
    assert [name for name in drifted(MODULES) if name not in DIFFERENT] == []


def test_no_exception_for_twins_outlives_its_reason() -> None:
    assert sorted(DIFFERENT) == sorted(set(drifted(MODULES)) & DIFFERENT.keys())
    assert len(twins(MODULES)) > len(DIFFERENT)


def test_every_module_opens_with_a_sentence() -> None:
    assert without_page(MODULES) == []


def test_every_public_module_lists_its_names_in_order() -> None:
    assert without_names(MODULES) == []


def test_no_module_is_too_long() -> None:
    assert too_long(MODULES) == []


# The rules find what breaks them.


def house(**sources: str) -> dict[str, Module]:
    """Build a package of these modules: `house(drivers__x="import time")`; every one is a plain module."""
    return {(name := key.replace("__", ".")): Module(name, source) for key, source in sources.items()}


@pytest.mark.parametrize(
    "source",
    [
        "from broadcaster.manager import BroadcastManager",
        "import broadcaster.manager",
        "from broadcaster import manager",
        "from broadcaster import BroadcastManager",
        "from .manager import BroadcastManager",
        "def f():\n    from broadcaster.manager import BroadcastManager",
        "if TYPE_CHECKING:\n    from broadcaster.manager import BroadcastManager",
    ],
)
def test_an_import_that_points_up_is_found_wherever_it_stands(source: str) -> None:
    modules = house(events=source, manager="")

    assert pointing_up(modules) == ["events (layer 2) imports manager (layer 4)"]


def test_an_import_from_the_folder_above_is_found() -> None:
    modules = house(
        drivers__log="from ..manager import BroadcastManager\nfrom .base import Driver", drivers__base=""
    )

    assert pointing_up(modules) == ["drivers.log (layer 3) imports manager (layer 4)"]


def test_a_module_without_a_layer_is_told_where_to_go() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"broadcaster\.utils is in no layer; add it to LAYERS"):
        pointing_up(house(utils="from broadcaster.errors import BroadcastError", errors=""))


def test_a_cycle_is_found() -> None:
    modules = house(
        config="from broadcaster.dispatcher import Dispatcher",
        dispatcher="def f():\n    from broadcaster.manager import BroadcastManager",
        manager="from broadcaster import config",
    )

    assert sorted(cycles(modules)[0].split(" imports ")[1:]) == ["config", "dispatcher", "manager"]


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        (
            "drivers__local",
            "from broadcaster.protocol.hub import Hub",
            "drivers.local (sending) imports protocol.hub",
        ),
        ("server__node", "from broadcaster.config import Settings", "server.node (serving) imports config"),
        ("protocol__hub", "import broadcaster.events", "protocol.hub (serving) imports events"),
    ],
)
def test_an_import_across_the_halves_is_found(module: str, source: str, found: str) -> None:
    [line] = across(house(**{module: source, "protocol__hub" if module != "protocol__hub" else "events": ""}))

    assert line.startswith(found)


def test_surfaces_may_know_both_halves() -> None:
    modules = house(demo="from broadcaster.server import App\nfrom broadcaster.config import Settings")

    assert across(modules) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import asyncio.events",
        "from os import urandom",
        "def f():\n    import random",
        "from urllib import request",
        "import urllib.request",
        "from concurrent.futures import Future",
    ],
)
def test_impurity_in_the_protocol_is_found(source: str) -> None:
    assert len(impure(house(protocol__hub=source, server__node=source))) == 1


def test_pure_imports_of_the_protocol_pass() -> None:
    assert impure(house(protocol__api="from urllib.parse import unquote\nimport hmac, json")) == []


def test_a_package_imported_twice_in_one_half_is_found() -> None:
    modules = house(drivers__pusher="import urllib3", drivers__ably="from urllib3 import PoolManager")

    assert scattered(modules) == ["urllib3 is imported by drivers.pusher, drivers.ably"]


def test_a_package_imported_once_in_each_half_passes() -> None:
    assert scattered(house(config="import yaml", server__config="import yaml", cli__a="import typer")) == []


def test_a_package_of_the_command_line_is_found_elsewhere() -> None:
    assert scattered(house(manager="import rich")) == ["rich is imported by manager"]


@pytest.mark.parametrize(
    ("verb", "twin"),
    [
        ("def send(self, x): self.go(x)", "async def asend(self, x): await self.ago(x)"),
        ("def send(self): pass", "async def asend(self):\n        '''Like `send()`.'''"),
        (
            "def send(self):\n        with ExitStack() as s: s.callback(x)",
            "async def asend(self):\n        async with AsyncExitStack() as s: s.push_async_callback(x)",
        ),
        (
            "def send(self):\n        for x in y: yield x",
            "async def asend(self):\n        async for x in y: yield x",
        ),
        ("def send(self): return (x.a).b", "async def asend(self): return (await x.a).b"),
        ("def send(self): time.sleep(pause)", "async def asend(self): await asyncio.sleep(pause)"),
        ("def send(self): return [x for x in y]", "async def asend(self): return [x async for x in y]"),
    ],
)
def test_twins_that_only_wait_differently_pass(verb: str, twin: str) -> None:
    source = f"class A:\n    {verb}\n    {twin}\n    def go(self): ...\n    async def ago(self): ...\n"
    modules = house(manager=source)

    assert "manager.A.asend" in twins(modules)
    assert drifted(modules) == []


@pytest.mark.parametrize(
    ("verb", "twin"),
    [
        ("def send(self, x): self.go(x)", "async def asend(self, x): await self.go(x, 1)"),
        ("def send(self, x, y=1): ...", "async def asend(self, x, y=2): ..."),
        ("def send(self) -> int: ...", "async def asend(self) -> str: ..."),
        ("def send(self): self.add(1)", "async def asend(self): self.dd(1)"),
        ("def _send(self): x = 1", "async def _asend(self): x = 2"),
        ("def __enter__(self): return 1", "async def __aenter__(self): return 2"),
    ],
)
def test_twins_that_drifted_apart_are_found(verb: str, twin: str) -> None:
    assert len(drifted(house(manager=f"class A:\n    {verb}\n    {twin}\n"))) == 1
    assert len(drifted(house(manager=f"{verb}\n{twin}\n"))) == 1
    assert len(drifted(house(manager=f"def outer():\n    {verb}\n    {twin}\n"))) == 1


def test_names_that_only_look_like_twins_are_none() -> None:
    assert (
        twins(house(manager="def live(): ...\ndef alive(): ...\nclass A:\n    async def asend(self): ..."))
        == {}
    )


@pytest.mark.parametrize("source", ["x = 1", '"""lower case."""', '"""No full stop"""', '"""Two\nlines."""'])
def test_a_module_without_an_opening_sentence_is_found(source: str) -> None:
    assert without_page(house(manager=source)) == ["manager"]


@pytest.mark.parametrize(
    "names", ["", "__all__ = ['b', 'a']", "__all__ = ['a', 'B']", "__all__ = ['a', 'a']"]
)
def test_names_out_of_order_are_found(names: str) -> None:
    assert without_names(house(manager=f"'''Page.'''\nimport re\n{names}", _private="x = 1\ny = 2")) == [
        "manager"
    ]


def test_a_module_that_is_too_long_is_found() -> None:
    assert too_long(house(manager="\n" * 321, config="\n" * 320)) == ["manager"]
