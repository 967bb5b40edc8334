"""The servers that come from Python wheels; awfdrs_site.embedded is their only user."""
