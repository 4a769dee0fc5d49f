"""``boost-edge`` and ``python -m boost_edge`` start here.

Little is imported before `main` runs, so that Ctrl-C is answered in one line from the beginning.
"""

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Import the command line and run it; an interruption meanwhile is one line, as later."""
    try:
        from boost_edge.cli.main import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.stderr.write("boost-edge: interrupted\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
