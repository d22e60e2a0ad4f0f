"""Gathers the commands and turns errors into one line and an exit code."""

import errno
import io
import os
import sys

import typer

from pairlight import __version__
from pairlight.cli import (
    compare,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    index,
    prepare,
    search,
    serve,
    soup,
    split,
    train,
    visualize,
)
from pairlight.errors import ConfigError, PairlightError

app = typer.Typer(
    name="pairlight",
    help="Train, check and use a small image-text matching model on your own photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pairlight {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


for module in (
    prepare,
    split,
    train,
    soup,
    evaluate,
    compare,
    visualize,
    export,
    index,
    search,
    serve,
    demo,
    doctor,
    explain,
):
    name = module.__name__.rsplit(".", 1)[-1]
    app.command(name)(getattr(module, name))


def main(argv: list[str] | None = None) -> None:
    """Run one command: exit 0 when done, 2 for the user's mistake, 1 for ours."""
    sys.exit(run(app, argv))


def run(application: typer.Typer, argv: list[str] | None = None) -> int:
    """Run `application` on `argv` (default: the command line) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A caption that the terminal's encoding lacks must not end hours of work.
            stream.reconfigure(errors="backslashreplace")
    try:
        _spare_what_is_named(sys.argv[1:] if argv is None else argv)
        code = application(args=argv, standalone_mode=False)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except PairlightError as error:
        print(f"pairlight: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            # Ctrl-C while a library was being imported, which made an error of its own of it.
            return _stopped()
        if hasattr(error, "format_message"):  # a wrong command or option, found by Typer
            return _usage(error, application, sys.argv[1:] if argv is None else argv)
        if os.environ.get("PAIRLIGHT_DEBUG"):
            raise
        if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
            # A file that may not be read, a name that is too long, a full disk: the user's to mend.
            print(f"pairlight: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
            return 2
        print(
            f"pairlight: internal error: {type(error).__name__}: {error} "
            "(set PAIRLIGHT_DEBUG=1 for the traceback)",
            file=sys.stderr,
        )
        return 1
    if code == 130:
        return _stopped()
    return code if isinstance(code, int) else 0


def _spare_what_is_named(argv: list[str]) -> None:
    """Raise `ConfigError` where --json names a file that the command names otherwise, too."""
    words = [part for word in argv for part in (word.split("=", 1) if word[:2] == "--" else [word])]
    at = words.index("--json") + 1 if "--json" in words else len(words)
    if at >= len(words) or words[at] == "-":
        return
    target = os.path.realpath(words[at])
    others = [word for n, word in enumerate(words) if n != at and word and word[0] != "-"]
    if any(os.path.realpath(word) == target for word in others):
        raise ConfigError(f"--json {words[at]}: the command names this file already; name another")


def _stopped() -> int:
    print("pairlight: stopped", file=sys.stderr)
    return 130


def _usage(error, application: typer.Typer, argv: list[str]) -> int:
    if error.ctx is not None and "NoArgs" in type(error).__name__:
        error.show()  # `pairlight` alone asks for the help
    else:
        where = "pairlight"
        if error.ctx is not None:
            where = error.ctx.command_path
        elif argv and argv[0] in {each.name for each in application.registered_commands}:
            where += f" {argv[0]}"  # an option without its value names no command by itself
        message = " ".join(error.format_message().split())
        print(f"pairlight: {message.rstrip('.')}; see {where} --help", file=sys.stderr)
    return error.exit_code
