"""The ledger under racing writers and under damage."""
