"""`python -m replsync`."""

from replsync.cli.main import main

if __name__ == "__main__":
    main()
