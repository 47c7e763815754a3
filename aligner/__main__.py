"""`python -m aligner` is the `align` command."""

from aligner.command.cli import main

main()
