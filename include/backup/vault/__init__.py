"""What lies where in a vault, who may write to it, and what its ledger says it holds."""
