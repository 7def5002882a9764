"""Whether what was restored is what was backed up: facts, and what users expect of their data."""
