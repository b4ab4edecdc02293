"""Fixtures of the API server's tests."""

from tests.support.apiserver import apiserver as apiserver
