"""Applications that nobody here wrote, behind web servers, compared with fcgiwrap.

They are those of Debian that a web server runs as CGI programs. Viewvc is not among them: it has
needed a Python that Debian no longer has.
"""

import pytest

from web.application import Application
from web.monitors import MONITORS
from web.pages import PAGES
from web.repositories import REPOSITORIES
from web.sites import OURS, PEER, serving

# Some take a second for each of their requests, and are asked three times.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APPLICATIONS = (*REPOSITORIES, *PAGES, *MONITORS)


@pytest.mark.parametrize(
    ("application", "kind"),
    [pytest.param(one, kind, id=f"{one}-{kind}") for one in APPLICATIONS for kind in one.kinds],
)
def test_application_answers_as_behind_fcgiwrap(application: Application, kind: str) -> None:
    """Status, headers and body are the same by SCGI, by FastCGI and by both fcgiwraps."""
    wrong = []
    with serving(application, kind) as site:
        for request in application.requests:
            expected = site.ask(PEER, request)
            if expected.status != request.status or request.holds not in expected.body:
                wrong.append(f"{PEER} {request}: {expected}")
            for way in OURS:
                differences = application.differences(expected, site.ask(way, request))
                wrong += [f"{way} {request}: {line}" for line in differences]

    assert not wrong, "\n".join(wrong)
