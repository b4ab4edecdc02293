"""The template language of action values: a stated subset of Go's text/template. Pure."""
