"""What the tests of commands share."""

from tests.support.web import web as web
