"""Laws of the policy room, searched for counterexamples."""
