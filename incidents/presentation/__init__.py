"""What templates of incidents show: pure mappings from rows to frozen shapes, so that templates hold no logic."""
