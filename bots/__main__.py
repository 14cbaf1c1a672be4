"""The command `qwentin`: nothing is imported before a Ctrl-C can be told from a mistake."""

import sys


def main() -> None:
    """Start the command line. A Ctrl-C while it is still being imported ends quietly."""
    try:
        from bots.cli import main as start  # noqa: PLC0415

        start()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
