"""Records, ledger, spool and sentences, one law a test."""
