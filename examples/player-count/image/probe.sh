#!/bin/bash
# Prints how many play. The exit code is always 0: what matters is the result.
ls players | wc -l
