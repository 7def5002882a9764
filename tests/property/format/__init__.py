"""Laws of the format room, searched for counterexamples."""
