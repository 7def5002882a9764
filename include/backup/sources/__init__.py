"""What reads datasets, and puts them back: one kind of source a module."""
