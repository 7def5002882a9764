"""Cases of the policy room."""
