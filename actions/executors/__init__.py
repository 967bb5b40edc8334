"""One file per kind of action: how it is performed, and nothing about when or whether."""
