"""--config: the options of any command from a YAML file and the environment, and the file written back."""

import inspect
import os
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from ganaug.errors import ConfigError

NAME = "run.yaml"
MAX_BYTES = 100_000
HOW = ("resume", "dry-run", "quiet")
"""Options that say how a command was called, and not what it did: they are not written back."""
ONLY_TYPED = ("json",)
"""Options for the command line alone: errors that come before a file is read depend on them."""


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with an option --config, and with its other options read from the environment."""
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            typer.Option(
                "--config",
                help="YAML file of options; the command line and the environment "
                f"({_variable(command.__name__, 'OPTION')}) win over it.",
                callback=_set_defaults,
                is_eager=True,
                expose_value=False,
                show_default=False,
            ),
        ],
    )

    @wraps(command)
    def run(config: None = None, **values: Any) -> None:
        command(**values)

    signature = inspect.signature(command)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), config]
    )
    run.__annotations__ = {**command.__annotations__, "config": config.annotation}
    return run


def write_config(ctx: typer.Context, folder: Path, **used: Any) -> None:
    """Write the options of a command to a folder that is there, so that --config repeats it.

    `used` replaces values, by the name of the command's parameter, where more is known than what was typed.
    """
    config_writer(ctx, folder, **used)()


def config_writer(
    ctx: typer.Context, folder: Path | None, *, note: str = "", **used: Any
) -> Callable[[], None]:
    """Return what writes the options to a folder once, at the first call that finds the folder there.

    All is prepared here, so that a signal amid a call leaves nothing half done. `note` is for a reader.
    """
    from ganaug import __version__

    values = {"command": ctx.info_name}
    for key, option in _options(ctx).items():
        value = used.get(option.name, ctx.params.get(option.name))
        if value not in (None, {}) and key not in (*HOW, *ONLY_TYPED):
            values[key] = _plain(key, value)
    comment = "".join(f"# {line}\n" for line in f"ganaug {__version__}. {note}".strip().splitlines())
    text, written = comment + _dumped(values), False

    def write() -> None:
        nonlocal written
        if not written and folder is not None and folder.is_dir():
            temporary = folder / f".{NAME}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, folder / NAME)
            written = True

    return write


def used_by_run(run: Path) -> dict[str, Any]:
    """Return the options that `ganaug fit` used, as its run folder has them, or none; unchecked."""
    return _mapping(run / NAME) if (run / NAME).is_file() else {}


def read_yaml(text: str) -> Any:
    """Return what a YAML text says: numbers, true and false as in YAML 1.2; no objects, no aliases."""
    import yaml

    return yaml.load(text, _dialect()[0])


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a mapping that was given as such, or as YAML."""
    if isinstance(value, str):
        try:
            value = read_yaml(value)
        except Exception as error:
            raise typer.BadParameter(f"it cannot be read as YAML: {_one_line(error)}") from error
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise typer.BadParameter("it must be a mapping, such as '{loss: wasserstein, z_dim: 64}'")
    return value


def over_config(ctx: typer.Context, value: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields of --gan, which win one by one over those of the environment and the file."""
    return {**(ctx.default_map or {}).get("gan", {}), **(value or {})}


def _set_defaults(ctx: typer.Context, path: Path | None) -> None:
    """Make the file's values, and over them those of the environment, the defaults of the options."""
    if ctx.resilient_parsing:
        return
    options, command = _options(ctx), str(ctx.info_name)
    named = os.environ.get(_variable(command, "config"))
    path = path or (Path(named) if named else None)
    values = {} if path is None else _from_file(ctx, path, options)
    for key, option in options.items():
        variable = _variable(command, key)
        if os.environ.get(variable) and key not in ONLY_TYPED:
            given = _checked(ctx, option, variable, os.environ[variable])
            both = isinstance(given, dict) and option.name in values
            values[option.name] = {**values[option.name], **given} if both else given
    ctx.default_map = values


def _from_file(ctx: typer.Context, path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    from ganaug._checks import did_you_mean, listed

    values: dict[str, Any] = {}
    for raw, value in _mapping(path).items():
        key = raw.replace("_", "-")
        if key == "command":
            if value != ctx.info_name:
                raise ConfigError(f"{path} is for `ganaug {value}`; got it for `ganaug {ctx.info_name}`.")
            continue
        if key in ONLY_TYPED:
            raise ConfigError(f"{path}: {raw} is for the command line only. Type --{key} there.")
        if key not in options:
            raise ConfigError(
                f"{path}: {raw!r} is no option of `ganaug {ctx.info_name}`; it has {listed(options, 40)}."
                + did_you_mean(key, options)
            )
        if options[key].name in values:
            raise ConfigError(f"{path}: {key} is given twice. Keep one of them.")
        if value is not None:
            values[options[key].name] = _checked(ctx, options[key], f"{path}: {raw}", value)
    return values


def _mapping(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} must be a YAML file of options; it cannot be read: {error.strerror}."
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path} must be a YAML file of options; got more than {MAX_BYTES:,} bytes.")
    try:
        values = read_yaml(content.decode("utf-8"))
    except Exception as error:  # whatever a broken file makes of the parser
        raise ConfigError(f"{path} cannot be read as YAML: {_one_line(error)}.") from error
    if not isinstance(values, dict) or not all(isinstance(k, str) for k in values):
        raise ConfigError(
            f"{path} must hold a line 'option: value' for each option; got {type(values).__name__}."
        )
    return values


def _checked(ctx: typer.Context, option: Any, where: str, value: Any) -> Any:
    """Return a value of the file or the environment as the command takes it."""
    if isinstance(value, list) and "," in (option.metavar or ""):
        value = ",".join(str(v) for v in value)
    flag = bool(getattr(option, "is_flag", False))
    if isinstance(value, bool) != flag and not isinstance(value, str):
        kind = "true or false" if flag else "a value, not true or false"
        raise ConfigError(f"{where} must be {kind}; got {value!r:.100}.")
    try:
        return option.process_value(ctx, value)
    except typer.BadParameter as error:
        raise ConfigError(f"{where}: {_one_line(error).rstrip('.')}; got {value!r:.100}.") from error


def _options(ctx: typer.Context) -> dict[str, Any]:
    """Return the options and arguments of a command by the name they have in a file."""
    named = [p for p in ctx.command.params if getattr(p, "expose_value", True)]
    return {next((o for o in p.opts if o.startswith("--")), p.name).lstrip("-"): p for p in named}


def _variable(command: str, key: str) -> str:
    return f"GANAUG_{command}_{key}".upper().replace("-", "_")


def _plain(key: str, value: Any) -> Any:
    """Return what YAML can hold of a value; paths are made whole, so that they are found from anywhere."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path) or (key in ("data", "run") and os.path.exists(value)):
        return os.path.abspath(value)
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:300]


def _dumped(values: dict[str, Any]) -> str:
    import yaml

    return str(yaml.dump(values, Dumper=_dialect()[1], sort_keys=False, allow_unicode=True, width=100))


@cache
def _dialect() -> tuple[Any, Any]:
    """Return a SafeLoader and a SafeDumper for YAML without surprises: 1e-3 is a number, `no` is a word."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not taken")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.YAMLError(f"{key.value[:100]!r} is given twice")
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            return super().construct_mapping(node, deep=deep)

    class Dumper(yaml.SafeDumper):
        yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, text: str) -> Any:
            """Quote what YAML takes for the end of a line, so that it is escaped."""
            ends = set(text) & set("\r\n\x85\u2028\u2029")
            return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if ends else None)

    Dumper.add_representer(str, Dumper.represent_text)
    plain = {
        "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
        "float": (
            r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)",
            list("-+.0123456789"),
        ),
    }
    for kind in (Loader, Dumper):
        for name, (pattern, firsts) in plain.items():
            kind.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"^(?:{pattern})$"), firsts)
    return Loader, Dumper
