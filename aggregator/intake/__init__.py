"""The HTTP side of the report protocol: authenticate, admit, answer."""
