"""What each storage does in its own way."""
