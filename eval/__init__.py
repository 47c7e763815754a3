"""Experiments on the aligner: corpora, grids of settings, reports. Never `import eval`: it hides the builtin."""
