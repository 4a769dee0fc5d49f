"""``python -m boost_edge`` is the same as the ``boost-edge`` command."""

from boost_edge.cli.main import main

if __name__ == "__main__":
    main()
