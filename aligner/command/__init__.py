"""The `align` command: options, plan, one job, batches and their journal."""
