"""Laws of the repository room, searched for counterexamples."""
