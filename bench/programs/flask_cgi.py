"""Flask as a CGI program: what docs/cgi.md says, the application in a module of its own."""
# mypy: ignore-errors

from wsgiref.handlers import CGIHandler

from flask_hello import app

CGIHandler().run(app)
