"""Web applications that take forms and draw pictures: CGI.pm, PHP, MapServer, ikiwiki.

Owns their data, and the scripts for what is a library or an interpreter.
"""

from pathlib import Path

from web.application import FORM, Application, Installed, Request, script
from web.repositories import run

_BOUNDARY = "0123456789"
_UPLOAD = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
_FILE = bytes(range(256)) * 400


def _upload() -> bytes:
    disposition = b"Content-Disposition: form-data; name="
    return (
        b'--%b\r\n%b"word"\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n' % (_BOUNDARY.encode(), disposition)
        + b'--%b\r\n%b"file"; filename="a b.bin"\r\n' % (_BOUNDARY.encode(), disposition)
        + b"Content-Type: application/octet-stream\r\n\r\n%b\r\n--%b--\r\n"
        % (_FILE, _BOUNDARY.encode())
    )


# Everything that CGI.pm knows of a request, and a digest of what was uploaded.
_CGI_PM = r"""#!/usr/bin/perl
use strict;
use warnings;
use CGI;
use Digest::SHA qw(sha256_hex);

my $q = CGI->new;
if (defined $q->param('go')) {
    print $q->redirect($q->param('go'));
    exit;
}
my $cookie = $q->cookie(-name => 'seen', -value => ($q->cookie('seen') // 0) + 1);
print $q->header(-type => 'text/plain', -charset => 'utf-8', -cookie => $cookie,
    -status => scalar $q->param('status') // '200 OK');
print "$_=", $q->$_ // '', "\n" for qw(request_method path_info script_name query_string url
    self_url remote_user server_name server_port virtual_host user_agent content_type https);
for my $name (sort $q->multi_param) {
    print "$name: $_\n" for $q->multi_param($name);
}
if (my $file = $q->upload('file')) {
    local $/;
    binmode $file;
    my $content = <$file>;
    print 'file ', length $content, ' ', sha256_hex($content), "\n";
}
"""

_PHP = r"""#!/usr/bin/php-cgi
<?php
header('Content-Type: text/plain; charset=utf-8');
header('X-Thing: ' . ($_GET['thing'] ?? 'none'));
setcookie('seen', (string) (1 + (int) ($_COOKIE['seen'] ?? 0)));
if (isset($_GET['status'])) {
    http_response_code((int) $_GET['status']);
}
if (isset($_GET['go'])) {
    header('Location: ' . $_GET['go']);
    exit;
}
foreach (['REQUEST_METHOD', 'PATH_INFO', 'SCRIPT_NAME', 'QUERY_STRING', 'REQUEST_URI', 'PHP_SELF',
        'HTTP_HOST', 'SERVER_PROTOCOL', 'CONTENT_LENGTH', 'CONTENT_TYPE'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? '', "\n";
}
echo php_sapi_name(), ' ', basename(__FILE__), "\n";
var_dump($_GET, $_POST, $_COOKIE);
foreach ($_FILES as $name => $file) {
    echo $name, ' ', $file['name'], ' ', $file['size'], ' ',
        hash_file('sha256', $file['tmp_name']), "\n";
}
echo strlen(file_get_contents('php://input')), "\n";
"""

_MAP = """MAP
  NAME "one"
  SIZE 200 100
  EXTENT -180 -90 180 90
  IMAGETYPE "png"
  PROJECTION "init=epsg:4326" END
  WEB
    METADATA
      "ows_title" "one"
      "ows_enable_request" "*"
      "ows_srs" "EPSG:4326"
      "ows_onlineresource" "http://localhost/cgi-bin/mapserv"
    END
  END
  LAYER
    NAME "square"
    TYPE POLYGON
    STATUS DEFAULT
    METADATA "ows_title" "a square" END
    PROJECTION "init=epsg:4326" END
    FEATURE POINTS -50 -50 50 -50 50 50 -50 50 -50 -50 END END
    CLASS STYLE COLOR 200 20 20 OUTLINECOLOR 0 0 0 END END
  END
END
"""

_WIKI = """# IkiWiki::Setup::Yaml - YAML formatted setup file
wikiname: one
adminuser: []
srcdir: {folder}/source
destdir: {folder}/pages
url: http://localhost/
cgiurl: http://localhost/cgi-bin/ikiwiki
cgi_wrapper: {folder}/ikiwiki.cgi
cgi_wrappermode: 0755
rcs: ''
add_plugins: [goodstuff, anonok, passwordauth]
disable_plugins: [openid, emailauth, blogspam]
anonok_pagespec: '*'
"""


def _perl(folder: Path) -> Installed:
    return Installed(script(folder / "form.pl", _CGI_PM))


def _php(folder: Path) -> Installed:
    file = script(folder / "form.php", _PHP)
    return Installed(file, {"REDIRECT_STATUS": "200", "SCRIPT_FILENAME": str(file)})


def _mapserv(folder: Path) -> Installed:
    file = folder / "one.map"
    file.write_text(_MAP)
    (folder / "mapserver.conf").write_text(
        f'CONFIG\n ENV\n MS_MAP_PATTERN "^{folder}/"\n END\n MAPS\n ONE "{file}"\n END\nEND\n'
    )
    environment = {"MAPSERVER_CONFIG_FILE": str(folder / "mapserver.conf"), "MS_MAPFILE": str(file)}
    return Installed(Path("/usr/bin/mapserv"), environment)


def _ikiwiki(folder: Path) -> Installed:
    source = folder / "source"
    source.mkdir()
    (source / "index.mdwn").write_text("# The first page\n\n[[other]]\n")
    (source / "other.mdwn").write_text("The other page.\n")
    setup = folder / "wiki.setup"
    setup.write_text(_WIKI.format(folder=folder))
    run("ikiwiki", "--setup", setup, "--refresh", "--wrappers", cwd=folder)
    return Installed(folder / "ikiwiki.cgi", {"HOME": str(folder)})


_GET_MAP = (
    "?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS=square&STYLES=&CRS=EPSG:4326"
    "&BBOX=-90,-180,90,180&WIDTH=200&HEIGHT=100&FORMAT=image/png"
)

PAGES = (
    Application(
        "cgi-pm",
        "libcgi-pm-perl",
        "/usr/share/perl5/CGI.pm",
        _perl,
        (
            Request("/path/info?a=1&b=%C3%BC;c=3", holds="b: ü".encode()),
            Request("?status=404+Not+here", 404, b"request_method=GET"),
            Request("?go=http%3A%2F%2Flocalhost%2Fthere", 302),
            Request(method="POST", body=b"a=1&a=2&b=%26", headers=FORM, holds=b"a: 2"),
            Request("?c=3", method="POST", body=_upload(), headers=_UPLOAD, holds=b"file 102400 "),
            Request(headers={"Cookie": "seen=4"}, holds=b"script_name=/cgi-bin/cgi-pm"),
            Request(method="HEAD"),
            Request("?word=one+two", method="DELETE", holds=b"request_method=DELETE"),
        ),
    ),
    Application(
        "php-cgi",
        "php-cgi",
        "/usr/bin/php-cgi",
        _php,
        (
            Request("/path/info?a=1&thing=blue&b[]=2", holds=b"cgi-fcgi form.php"),
            Request("?status=418", 418),
            Request("?go=http%3A%2F%2Flocalhost%2Fthere", 302),
            Request(method="POST", body=b"a=1&b%5B%5D=2", headers=FORM, holds=b'["a"]=>'),
            Request(
                "?c=3", method="POST", body=_upload(), headers=_UPLOAD, holds=b"a b.bin 102400"
            ),
            Request(method="PUT", body=_FILE, holds=b"\n102400\n"),
            Request(headers={"Cookie": "seen=4"}, holds=b'["seen"]=>'),
            Request(method="HEAD"),
        ),
        (r"CONTENT_LENGTH=0?\n",),  # with no body 0 is right for SCGI, and nothing for CGI
    ),
    Application(
        "mapserv",
        "cgi-mapserver",
        "/usr/bin/mapserv",
        _mapserv,
        (
            Request("?SERVICE=WMS&REQUEST=GetCapabilities", holds=b"a square"),
            Request(_GET_MAP, holds=b"\x89PNG"),
            Request("?map=ONE&mode=map", holds=b"\x89PNG"),
            Request(
                method="POST",
                body=_GET_MAP[1:].encode(),
                headers=FORM,
                holds=b"\x89PNG",
            ),
            Request("?SERVICE=WMS&REQUEST=Nonsense", holds=b"ServiceException"),
            Request("?map=/etc/passwd&mode=map", holds=b"map"),
        ),
    ),
    Application(
        "ikiwiki",
        "ikiwiki",
        "/usr/bin/ikiwiki",
        _ikiwiki,
        (
            Request("?do=edit&page=other", holds=b"The other page."),
            Request("?do=goto&page=other", 302),
            Request("?do=goto&page=none", 404),
            Request("?do=signin", holds=b"<form"),
            Request("?do=nonsense", holds=b"unknown do parameter"),
            Request(
                method="POST", body=b"do=edit&page=other", headers=FORM, holds=b"The other page."
            ),
        ),
        (r"ikiwiki_session_one=[^;]*", r"expires=[^;]*", r"name=\"sid\" [^>]*", r"[0-9a-f]{32}"),
        kinds=("nginx",),  # it takes half a second to start, for each request
    ),
)
