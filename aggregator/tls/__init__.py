"""The certificate of the report endpoint: made, kept in a Secret, rotated, reloaded (SPEC 8.4)."""
