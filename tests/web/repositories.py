"""Web applications that show repositories: gitweb, cgit, hgweb, fossil, and git itself.

Owns their data: one repository each, with the same dates in each run.
"""

import os
import subprocess
from pathlib import Path

from web.application import Application, Installed, Request, script

_DATE = "2020-02-03T04:05:06+0000"
_PERSON = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@localhost",
    "GIT_AUTHOR_DATE": _DATE,
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@localhost",
    "GIT_COMMITTER_DATE": _DATE,
}
GIT_BACKEND = "/usr/lib/git-core/git-http-backend"


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that makes data, and return what it prints."""
    around = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        words, cwd=cwd, env=around | _PERSON | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def git_repository(folder: Path, payload_bytes: int = 0) -> Path:
    """Make a bare repository with a few commits; with a payload, it is at least that large."""
    work = folder / "work"
    work.mkdir()
    run("git", "init", "-q", "-b", "main", cwd=work)
    for number in range(3):
        (work / "file.txt").write_text("".join(f"line {line}\n" for line in range(number, 40)))
        (work / "größe.txt").write_text(f"{number}\n")
        if payload_bytes:
            (work / f"payload{number}").write_bytes(os.urandom(payload_bytes // 3))
        run("git", "add", ".", cwd=work)
        run("git", "commit", "-q", "-m", f"change number {number} <&>", cwd=work)
    run("git", "tag", "v1", cwd=work)
    bare = folder / "repositories" / "one.git"
    run("git", "clone", "-q", "--bare", work, bare, cwd=folder)
    run("git", "update-server-info", cwd=bare)
    return bare


def _gitweb(folder: Path) -> Installed:
    bare = git_repository(folder)
    settings = folder / "gitweb.conf"
    settings.write_text(
        f"$projectroot = '{bare.parent}';\n"
        "$feature{'snapshot'}{'default'} = ['tgz'];\n$feature{'blame'}{'default'} = [1];\n1;\n"
    )
    return Installed(
        Path("/usr/share/gitweb/gitweb.cgi"), {"GITWEB_CONFIG": str(settings), "HOME": str(folder)}
    )


def _cgit(folder: Path) -> Installed:
    bare = git_repository(folder)
    settings = folder / "cgitrc"
    settings.write_text(
        f"virtual-root=/cgi-bin/cgit/\nsnapshots=tar.gz zip\nenable-blame=1\nenable-http-clone=1\n"
        f"repo.url=one\nrepo.path={bare}\nrepo.desc=a repository\n"
    )
    return Installed(
        Path("/usr/lib/cgit/cgit.cgi"), {"CGIT_CONFIG": str(settings), "HOME": str(folder)}
    )


def _hgweb(folder: Path) -> Installed:
    work = folder / "one"
    work.mkdir()
    run("hg", "init", cwd=work)
    (work / "file.txt").write_text("one\ntwo\n")
    run("hg", "commit", "-q", "-A", "-u", "a", "-d", "1580702706 0", "-m", "a change", cwd=work)
    example = Path("/usr/share/doc/mercurial-common/examples/hgweb.cgi").read_text()
    text = example.replace("/usr/bin/env python3", "/usr/bin/python3", 1)
    text = text.replace("/path/to/repo/or/config", str(work))
    return Installed(script(folder / "hgweb.cgi", text), {"HOME": str(folder)})


def _fossil(folder: Path) -> Installed:
    file = folder / "one.fossil"
    run("fossil", "new", "--admin-user", "a", file, cwd=folder, USER="a")
    # it would leave a process behind each request that tidies up, also behind fcgiwrap
    run("fossil", "settings", "backoffice-disable", "1", "-R", file, cwd=folder, USER="a")
    return Installed(
        script(folder / "fossil.cgi", f"#!/usr/bin/fossil\nrepository: {file}\n"),
        {"HOME": str(folder), "USER": "a"},
    )


def _git(folder: Path) -> Installed:
    bare = git_repository(folder)
    return Installed(
        Path(GIT_BACKEND),
        {"GIT_PROJECT_ROOT": str(bare.parent), "GIT_HTTP_EXPORT_ALL": "1", "HOME": str(folder)},
    )


REPOSITORIES = (
    Application(
        "gitweb",
        "gitweb",
        "/usr/share/gitweb/gitweb.cgi",
        _gitweb,
        (
            Request(holds=b"one.git"),
            Request("?p=one.git;a=summary", holds=b"change number 2"),
            Request("/one.git/shortlog", holds=b"change number 0"),
            Request("/one.git/commitdiff/HEAD", holds=b"diff --git"),
            Request("/one.git/blob_plain/HEAD:/file.txt", holds=b"line 39\n"),
            Request("/one.git/blame/HEAD:/file.txt", holds=b"line"),
            Request("/one.git/snapshot/HEAD.tar.gz"),
            Request("/one.git/rss", holds=b"<rss"),
            Request("?p=one.git;a=search;s=number+1;st=commit", holds=b"number"),
            Request("?a=opml", holds=b"<opml"),
            Request("?p=none.git;a=summary", 404, b"No such project"),
            Request("?p=one.git;a=nonsense", 400, b"Invalid action parameter"),
            Request("/one.git/summary", method="HEAD"),
        ),
        (r"in\s+<span id=\"generating_time\".*?</div>", r"lastBuildDate>.*?<", r"pubDate>.*?<"),
    ),
    Application(
        "cgit",
        "cgit",
        "/usr/lib/cgit/cgit.cgi",
        _cgit,
        (
            Request("/", holds=b"a repository"),
            Request("/one/", holds=b"change number 2"),
            Request("/one/log/", holds=b"change number 0"),
            Request("/one/commit/", holds=b"change number 2"),
            Request("/one/plain/file.txt", holds=b"line 39\n"),
            Request("/one/blame/file.txt", holds=b"line"),
            Request("/one/snapshot/one-v1.tar.gz"),
            Request("/one/atom/?h=main", holds=b"<feed"),
            Request("/one/info/refs", holds=b"refs/heads/main"),
            Request("/one/log/?qt=grep&q=number+1", holds=b"number 1"),
            Request("/none/", 404),
            Request("/one/", method="HEAD"),
        ),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", r"\w{3}, \d+ \w{3} \d{4} [\d:]+ GMT"),
    ),
    Application(
        "hgweb",
        "mercurial",
        "/usr/share/doc/mercurial-common/examples/hgweb.cgi",
        _hgweb,
        (
            Request(holds=b"a change"),
            Request("/rev/tip", holds=b"two"),
            Request("/file/tip/file.txt", holds=b"one"),
            Request("/raw-file/tip/file.txt", holds=b"one\ntwo\n"),
            Request("/annotate/tip/file.txt", holds=b"two"),
            Request("/atom-log", holds=b"<feed"),
            Request("/archive/tip.tar.gz", 403),
            Request("?cmd=capabilities", holds=b"batch"),
            Request("?cmd=heads"),
            Request("/file/tip/none.txt", 404),
        ),
    ),
    Application(
        "fossil",
        "fossil",
        "/usr/bin/fossil",
        _fossil,
        (
            Request("/timeline", holds=b"initial empty check-in"),
            Request("/home"),
            Request("/login", holds=b"<form"),
            Request("/stat", holds=b"Repository"),
            Request("/dir", holds=b"<html"),
            Request("/timeline.rss", holds=b"<rss"),
            Request("/style.css"),
            Request("/login", 200, method="POST", body=b"u=a&p=wrong&in=Login"),
            Request("/none", 404),
        ),
        (
            r"\b[0-9a-f]{48}\b",
            r"[\d.]+s by",
            r"pubDate>.*?<",
            r"captcha-audio/\d+|name=\"cs\" value=\"\d+|(?s:<pre class=\"captcha\">.*?</pre>)",
        ),
    ),
    Application(
        "git",
        "git",
        GIT_BACKEND,
        _git,
        (
            Request("/one.git/info/refs?service=git-upload-pack", holds=b"refs/heads/main"),
            Request("/one.git/info/refs", holds=b"refs/heads/main"),
            Request("/one.git/HEAD", holds=b"ref: refs/heads/main"),
            Request("/one.git/info/refs?service=git-receive-pack", 403),
            Request("/none.git/info/refs?service=git-upload-pack", 404),
            Request(
                "/one.git/git-upload-pack",
                method="POST",
                body=b"0014command=ls-refs\n0014agent=git/2.39.500010009peel\n000csymrefs\n0000",
                headers={
                    "Content-Type": "application/x-git-upload-pack-request",
                    "Git-Protocol": "version=2",
                },
                holds=b"refs/tags/v1",
            ),
            Request("/one.git/git-upload-pack", 405),
        ),
    ),
)
