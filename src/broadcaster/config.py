"""Which drivers there are, and their options, checked where their kind has a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, SecretStr, ValidationError

from broadcaster._sources import Content, Variables, read_content, read_environment, read_toml, told
from broadcaster.drivers.options import OPTIONS
from broadcaster.errors import ConfigurationError, named, suggestion
from broadcaster.queues.options import OPTIONS as QUEUES

__all__ = ["DriverConfig", "Settings"]

_GROUPS = frozenset({"failover", "stack"})


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """One named driver: its *kind*, and the keyword arguments of the factory that makes it.

    *problem* is what keeps it from being made, for a driver that nobody may need.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The name of the *default* driver, and every driver that was configured by name.

    *spare* are those that nothing names, as the variables of their kinds describe them: an event may.
    *queue* is the engine that takes events marked `ShouldQueue`, with its options; `sync` has the caller
    deliver them. With *tracing* every delivery is a span of OpenTelemetry.
    """

    default: str = "log"
    drivers: Mapping[str, DriverConfig] = field(default_factory=dict)
    spare: Mapping[str, DriverConfig] = field(default_factory=dict, repr=False, compare=False)
    queue: DriverConfig = DriverConfig("sync")
    tracing: bool = False

    @classmethod
    def from_env(cls, env_file: str | Path | None = None) -> Settings:
        """Read the environment, and *env_file* (a `.env`) beneath it where one is given.

        `BROADCAST_DRIVER` or `BROADCAST_CONNECTION` names the default driver; `log` when unset.
        `BROADCAST_DRIVERS__EU__DRIVER=pusher`, `BROADCAST_DRIVERS__EU__APP_ID=...` and so on configure
        one more, named `eu`. `BROADCAST_CONFIG` names a TOML file with the same content as a dict; a
        variable goes before it. `BROADCAST_QUEUE` names the engine of the queue, and variables such as
        `BROADCAST_QUEUE_FILE` its options. `BROADCAST_TRACING=1` turns *tracing* on.
        A driver that is named like its kind also reads the variables of that
        kind, such as `PUSHER_APP_KEY`, for what its own table leaves out. An empty variable is an unset one.
        Raises `ConfigurationError`, which names everything that is missing or wrong, never a value.
        """
        problems: list[str] = []
        content, variables = read_environment(env_file, problems)
        return cls._from(content, problems, variables)

    @classmethod
    def from_toml(cls, path: str | Path) -> Settings:
        """Read a TOML file: `driver = "eu"` and tables such as `[drivers.eu]`."""
        problems: list[str] = []
        return cls._from(read_toml(path, problems), problems)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Read `{"driver": "eu", "drivers": {"eu": {"driver": "pusher", "app_id": ...}}}`."""
        problems: list[str] = []
        return cls._from(read_content(content, problems), problems)

    @classmethod
    def _from(cls, content: Content, problems: list[str], variables: Variables | None = None) -> Settings:
        drivers: dict[str, DriverConfig] = {}
        wanted = [*content.drivers, content.driver]
        while wanted:
            name = wanted.pop(0)
            if name in drivers or (name not in content.drivers and name not in OPTIONS):
                continue
            table = content.drivers.get(name, {})
            drivers[name] = config = _read_driver(name, table, variables, problems)
            if config.kind in _GROUPS:
                # Their members may be configured by variables alone.
                wanted += config.options.get("drivers", ())
        queue = _read_queue(content.queue, variables, problems)
        if problems:
            raise ConfigurationError("; ".join(problems))
        spare = {kind: _read_spare(kind, variables) for kind in OPTIONS if variables and kind not in drivers}
        return cls(content.driver, drivers, spare, queue, content.tracing)


def _read_spare(kind: str, variables: Variables | None) -> DriverConfig:
    """Read a driver that nothing names yet; what is wrong with it matters once something does."""
    problems: list[str] = []
    config = _read_driver(kind, {}, variables, problems)
    return replace(config, problem="; ".join(problems) or None)


def _read_queue(
    given: str | Mapping[str, Any], variables: Variables | None, problems: list[str]
) -> DriverConfig:
    """Check the engine of the queue and its options; variables go before a file, as everywhere."""
    table = {"engine": given} if isinstance(given, str) else given
    kind = table.get("engine")
    if not isinstance(kind, str) or (model := QUEUES.get(kind)) is None:
        near = suggestion(kind, QUEUES) if isinstance(kind, str) else ""
        problems.append(f"no queue is named {kind!r}{near}; known: {named(QUEUES)}")
        return DriverConfig("sync")
    options = {option: value for option, value in table.items() if option != "engine"}
    return _checked(kind, f"queue {kind!r}", model, options, variables, problems)


def _read_driver(name: str, table: object, variables: Variables | None, problems: list[str]) -> DriverConfig:
    """Check the options of one driver, where its kind is known here; gather *problems*."""
    if not isinstance(table, Mapping) or not isinstance(kind := table.get("driver", name), str):
        problems.append(f"driver {name!r}: expected a table of options, its kind as 'driver'")
        return DriverConfig(name)
    options = {option: value for option, value in table.items() if option != "driver"}
    if (model := OPTIONS.get(kind)) is None:
        return DriverConfig(kind, options)
    who = f"driver {name!r}" if name == kind else f"driver {name!r} ({kind})"
    return _checked(kind, who, model, options, variables if name == kind else None, problems)


def _checked(
    kind: str,
    who: str,
    model: type[BaseModel],
    options: dict[str, Any],
    variables: Variables | None,
    problems: list[str],
) -> DriverConfig:
    """Check *options*, and what *variables* say about the others; gather the *problems* of *who*."""
    known = list(model.model_fields)
    problems += [
        f"{who}: unknown option {option!r}{suggestion(str(option), known)}; known: {named(known)}"
        for option in options
        if option not in known
    ]
    if variables is not None:
        options |= _from_variables(model, variables, given=options)
    try:
        return DriverConfig(kind, _plain(model.model_validate(options)))
    except ValidationError as error:
        problems.append(f"{who}: {told(error, None if variables is not None else _option_names(model).get)}")
        return DriverConfig(kind)


def _from_variables(
    model: type[BaseModel], variables: Variables, *, given: Mapping[str, Any]
) -> dict[str, str | None]:
    """Return what the model's own variables say about the options that are not *given*, by variable."""
    return {
        variable: variables[variable.lower()]
        for variable, option in _option_names(model).items()
        if option not in given and variable.lower() in variables
    }


def _option_names(model: type[BaseModel]) -> dict[str, str]:
    """Return the option that each variable of *model* stands for."""
    names: dict[str, str] = {}
    for option, info in model.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices):
            names |= {str(variable): option for variable in info.validation_alias.choices}
    return names


def _plain(options: BaseModel) -> dict[str, Any]:
    values = options.model_dump(exclude_none=True)
    return {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in values.items()}
