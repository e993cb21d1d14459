"""The documentation as a site: `make docs` builds it with Sphinx from these pages as they are."""

from socketd import __version__

project = "socketd"
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"socketd {release}"
exclude_patterns = ["examples"]
myst_heading_anchors = 4
# Folders of the project: a site has files of it only. A test finds out whether they are there.
nitpick_ignore_regex = [("myst", r"(\.\./)+[\w./-]*/")]
