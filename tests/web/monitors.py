"""Web applications that show what others have gathered.

They are awstats, munin, nagios, smokeping and backuppc. Owns their data, small and the same in each
run.
"""

from pathlib import Path

from web.application import FORM, Application, Installed, Request, script
from web.repositories import run

_VISIT = (
    '10.0.0.{0} - - [03/Feb/2020:04:0{0}:06 +0000] "GET /page{0} HTTP/1.1" 200 1234 "-" "curl"\n'
)


def _awstats(folder: Path) -> Installed:
    log = folder / "access.log"
    log.write_text("".join(_VISIT.format(number) for number in range(1, 9)))
    (folder / "awstats.one.conf").write_text(
        f'LogFile="{log}"\nLogFormat=1\nSiteDomain="localhost"\nHostAliases="localhost"\n'
        f'DirData="{folder}"\nDNSLookup=0\nAllowToUpdateStatsFromBrowser=0\nDirIcons="/icon"\n'
    )
    words = ("-config=one", f"-configdir={folder}", "-update")
    run("/usr/bin/perl", "/usr/lib/cgi-bin/awstats.pl", *words, cwd=folder)
    return Installed(
        Path("/usr/lib/cgi-bin/awstats.pl"),
        {"AWSTATS_ENABLE_CONFIG_DIR": str(folder), "HOME": str(folder)},
    )


_NAGIOS_OBJECTS = """define command {
\tcommand_name\tnothing
\tcommand_line\t/bin/true
\t}
define contact {
\tcontact_name\ta
\thost_notification_commands\tnothing
\tservice_notification_commands\tnothing
\t}
define host {
\thost_name\tfirst
\talias\tthe first
\taddress\t127.0.0.1
\tcheck_command\tnothing
\tcontacts\ta
\tmax_check_attempts\t1
\t}
define service {
\thost_name\tfirst
\tservice_description\tdisk & memory
\tcheck_command\tnothing
\tcontacts\ta
\tmax_check_attempts\t1
\t}
"""

_NAGIOS_STATUS = """info {
\tcreated=1580702706
\tversion=4.4.6
\t}
programstatus {
\tnagios_pid=1
\tdaemon_mode=1
\tprogram_start=1580702706
\tenable_notifications=1
\t}
hoststatus {
\thost_name=first
\tcurrent_state=0
\thas_been_checked=1
\tlast_check=1580702706
\tlast_state_change=1580702706
\tplugin_output=it is up
\t}
servicestatus {
\thost_name=first
\tservice_description=disk & memory
\tcurrent_state=2
\thas_been_checked=1
\tlast_check=1580702706
\tlast_state_change=1580702706
\tplugin_output=<full>
\t}
"""


def _nagios(folder: Path) -> Installed:
    (folder / "objects.cache").write_text(_NAGIOS_OBJECTS)
    (folder / "status.dat").write_text(_NAGIOS_STATUS)
    (folder / "nagios.cfg").write_text(
        f"status_file={folder}/status.dat\nobject_cache_file={folder}/objects.cache\n"
        f"log_file={folder}/nagios.log\nlog_archive_path={folder}\n"
        f"lock_file={folder}/nagios.lock\ncommand_file={folder}/nagios.cmd\n"
    )
    (folder / "cgi.cfg").write_text(
        f"main_config_file={folder}/nagios.cfg\nphysical_html_path=/usr/share/nagios4/htdocs\n"
        "url_html_path=/nagios4\nuse_authentication=0\n"
    )
    return Installed(
        Path("/usr/lib/cgi-bin/nagios4/status.cgi"), {"NAGIOS_CGI_CONFIG": f"{folder}/cgi.cfg"}
    )


_MUNIN_DATA = """version 2.0.73
localdomain;localhost:address 127.0.0.1
localdomain;localhost:use_node_name yes
localdomain;localhost:load.graph_title Load average
localdomain;localhost:load.graph_category system
localdomain;localhost:load.graph_order load
localdomain;localhost:load.load.label load
"""


def _munin(folder: Path) -> Installed:
    for name in ("db", "html", "log", "run"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    (folder / "munin.conf").write_text(
        f"dbdir {folder}/db\nhtmldir {folder}/html\nlogdir {folder}/log\nrundir {folder}/run\n"
        "tmpldir /etc/munin/templates\nstaticdir /etc/munin/static\n"
        "html_strategy cgi\ngraph_strategy cgi\n[localhost.localdomain]\n"
        "    address 127.0.0.1\n    use_node_name yes\n"
    )
    (folder / "data").write_text(_MUNIN_DATA)
    (folder / "limits").write_text("version 2.0.73\n")
    for source, part in (("data", "datafile"), ("limits", "limits")):
        words = f"/usr/share/munin/munin-datafile2storable {source} > db/{part}.storable"
        run("/bin/sh", "-c", words, cwd=folder)
    return Installed(
        Path("/usr/lib/munin/cgi/munin-cgi-html"), {"MUNIN_CONFIG": f"{folder}/munin.conf"}
    )


_SMOKEPING = """*** General ***
owner = A
contact = a@localhost
mailhost = localhost
sendmail = /bin/true
imgcache = {folder}/images
imgurl = /images
datadir = {folder}/data
piddir = {folder}
cgiurl = http://localhost/cgi-bin/smokeping
smokemail = /etc/smokeping/smokemail
tmail = /etc/smokeping/tmail

*** Alerts ***
to = a@localhost
from = a@localhost

*** Database ***
step = 300
pings = 20
AVERAGE 0.5 1 1008

*** Presentation ***
template = /etc/smokeping/basepage.html
charset = utf-8
+ overview
width = 600
height = 50
range = 10h
+ detail
width = 600
height = 200
unison_tolerance = 2
"Last 3 Hours" 3h

*** Probes ***
+ FPing
binary = /bin/true

*** Targets ***
probe = FPing
menu = Top
title = The top of it
+ Local
menu = Local
title = What is near
++ Machine
menu = This machine
title = This very machine
host = localhost
"""

_SMOKEPING_SOURCES = ("uptime", "loss", "median", *(f"ping{number}" for number in range(1, 21)))


def _smokeping(folder: Path) -> Installed:
    for name in ("images", "data", "data/Local"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    settings = folder / "config"
    settings.write_text(_SMOKEPING.format(folder=folder))
    sources = ",".join(f"'DS:{name}:GAUGE:600:0:U'" for name in _SMOKEPING_SOURCES)
    options = f"'--step', 300, {sources}, 'RRA:AVERAGE:0.5:1:1008'"
    create = f"RRDs::create('data/Local/Machine.rrd', {options})"
    run("/usr/bin/perl", "-MRRDs", "-e", create, cwd=folder)
    text = f"#!/bin/sh\nexec /usr/share/smokeping/smokeping.cgi {settings}\n"
    return Installed(script(folder / "smokeping.cgi", text), {"HOME": str(folder)})


def _backuppc(_: Path) -> Installed:
    return Installed(Path("/usr/lib/backuppc/cgi-bin/index.cgi"))


# What takes half a second to start, for each request.
_ONE = ("nginx",)

MONITORS = (
    Application(
        "awstats.pl",  # which it makes links from
        "awstats",
        "/usr/lib/cgi-bin/awstats.pl",
        _awstats,
        (
            Request(
                "?config=one&configdir={folder}&month=02&year=2020&framename=mainright",
                holds=b"Statistics for localhost",
            ),
            Request("?config=none", holds=b"Error"),
        ),
        (r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}",),
        kinds=_ONE,
    ),
    Application(
        "munin",
        "munin",
        "/usr/lib/munin/cgi/munin-cgi-html",
        _munin,
        (
            Request("/index.html", holds=b"localhost"),
            Request("/localdomain/localhost/index.html", holds=b"Load average"),
            Request("/none.html"),
        ),
        (r"at \d{4}-\d\d-\d\d [\d:]{8}",),
        user="nobody",
        kinds=_ONE,
    ),
    Application(
        "nagios",
        "nagios4-cgi",
        "/usr/lib/cgi-bin/nagios4/status.cgi",
        _nagios,
        (
            Request("?host=all", holds=b"disk & memory"),
            Request("?hostgroup=all&style=hostdetail", holds=b"first"),
            Request("?host=first&servicestatustypes=16", holds=b"CRITICAL"),
            Request(method="POST", body=b"host=all", headers=FORM, holds=b"first"),
            Request(method="HEAD"),
        ),
        (
            r"\w{3}, \d+ \w{3} \d{4} [\d:]+ GMT",
            r"\w{3} \w{3} +\d+ [\d:]{8} \w+ \d{4}",
            r"\d+d +\d+h +\d+m +\d+s",
        ),
    ),
    Application(
        "smokeping",
        "smokeping",
        "/usr/share/smokeping/smokeping.cgi",
        _smokeping,
        (
            Request(holds=b"The top of it"),
            Request("?target=Local.Machine", holds=b"This very machine"),
            Request("?target=None", 500, b"does not exist"),
        ),
        (r"\w{3}, \d+ \w{3} \d{4} [\d:]+ GMT",),
        kinds=_ONE,
    ),
    Application(
        "backuppc",
        "backuppc",
        "/usr/lib/backuppc/cgi-bin/index.cgi",
        _backuppc,
        (
            Request(holds=b"BackupPC"),
            Request("?action=summary", holds=b"BackupPC"),
            Request("?action=view&type=docs", holds=b"BackupPC"),
        ),
        kinds=_ONE,
    ),
)
