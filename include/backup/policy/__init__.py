"""The policy and what follows from it: schedules, proofs, due dates, objectives, findings."""
