"""The command line of `qwentin`: commands, options, exit codes."""

import os
import sys
from typing import Annotated

import typer

from core.domain.errors import EX_CONFIG, SetupError

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells count."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Qwentin: a chat bot that answers with a Qwen model on your own machine.

    Without a command it starts the adapters that have a token (TELEGRAM_TOKEN, DISCORD_TOKEN; from the environment or
    .env), or with none the console. Every setting is explained in .env.example; README.md has the first steps.
    """
    if show_version:
        from importlib.metadata import version  # noqa: PLC0415 (no other command needs it)

        typer.echo(version("qwentin"))
    elif context.invoked_subcommand is None:
        run()


@app.command()
def run() -> None:
    """Start the adapters that have a token; with none, the console."""
    from bots import launch  # noqa: PLC0415 (--version and --help need not wait for it)

    raise typer.Exit(launch.run())


@app.command()
def console(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A hub name (org/name[@revision]), a folder, a .gguf file, or *builtin*."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="The system prompt of this talk.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            help="A setting of this talk: *temperature*=0, *max_tokens*=256, *memory*=5, *reply_language*=vi.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last conversation.")] = False,
) -> None:
    """Talk in this terminal, or answer what a pipe brings, line by line: `echo question | qwentin console`."""
    from bots import launch  # noqa: PLC0415

    raise typer.Exit(launch.run_console(model, option or [], system, resume=resume))


def main() -> None:
    """Run the command line. A SetupError is printed in one line for each mistake, without a traceback: exit code 78."""
    try:
        app()
    except SetupError as error:
        for line in str(error).splitlines():
            print(f"qwentin: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(EX_CONFIG)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:  # standard output is full or gone: nor can Python flush it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"qwentin: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
