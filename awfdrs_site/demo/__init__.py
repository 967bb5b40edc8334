"""The demo tenant and its simulated workflow: what up, seed_demo, simulate and fixtures share."""
