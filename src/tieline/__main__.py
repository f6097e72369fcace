"""`python -m tieline` is the command `tieline`."""

from tieline.cli.main import run

run()
