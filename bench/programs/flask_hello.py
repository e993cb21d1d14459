"""The hello of Flask's documentation, which says what it was asked."""
# mypy: ignore-errors

from flask import Flask, request

app = Flask(__name__)


@app.route("/", methods=["GET"])
def hello() -> tuple[str, dict[str, str]]:
    """Answer with the query and a greeting."""
    query = request.query_string.decode()
    return f"{query}\n<p>Hello, World!</p>\n", {"Content-Type": "text/plain"}
