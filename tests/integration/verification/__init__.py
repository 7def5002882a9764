"""Recovery points restored on trial: what is whole passes, and each planted fault is named."""
