"""What a failure is and why: pure functions of what was reported; no rows, no clock, no network."""
