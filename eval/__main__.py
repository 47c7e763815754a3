"""`python -m eval` is `align-eval`."""

from eval.cli import main

main(prog_name="align-eval")
