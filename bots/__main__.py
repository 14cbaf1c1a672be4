"""The command `qwentin` and `python -m bots`: imports the command line only once Ctrl-C ends the process quietly."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is being imported, which takes a second, is no traceback either."""
    try:
        from bots import cli  # noqa: PLC0415

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
