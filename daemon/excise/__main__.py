"""`python -m excise` is the command `excise`."""

from __future__ import annotations

from excise.cli.main import main

if __name__ == "__main__":
    main()
