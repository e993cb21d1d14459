"""Whether what a template was made from is still what is there.

Owns which files that are, and their watch. Must not know what follows from a change, nor when.

At `load` these are the executable, its interpreter, each library that is mapped, and the cache of
the loader; at a higher level also each file that an argument names, such as a script, which the
program may have read. Modules that an interpreter has read are not known. Where only named files
are in reach, they are the ones that were there when the template began (system/landlock.py), so
those are watched at every level.
"""

import os
from collections.abc import Callable

from socketd.config.services import ServiceSettings
from socketd.loop.filewatch import OwnWatches, Watch
from socketd.programs.fingerprint import files, interpreters
from socketd.settings.confinement import Confinement
from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.workers.launch import Template

_LOADER_CACHE = "/etc/ld.so.cache"


class Freshness:
    """The files of the template that serves; `on_change` is called when one of them changes.

    Without `watches` none is watched.
    """

    def __init__(
        self, settings: ServiceSettings, watches: OwnWatches | None, on_change: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._watches = watches
        self._on_change = on_change
        self._watch: Watch | None = None

    def watch(self, template: Template) -> None:
        """Watch the files of this template from now on, and of no other."""
        self.forget()
        settings = self._settings
        named = _named_files(settings.confinement)
        if self._watches is None or not (settings.readiness.level.is_held or named):
            return
        mapped = procfs.mapped_programs(template.pid) if template.level.is_held else []
        paths = {*mapped, *named}
        if settings.readiness.level.is_held:
            paths.update((*interpreters(settings.program.path), _LOADER_CACHE))
        if template.level in (ReadyLevel.READ, ReadyLevel.STOP):
            directory = settings.confinement.directory or os.curdir
            paths.update(files(settings.program, directory, settings.environment))
        self._watch = self._watches.add(sorted(paths), self._on_change)
        if any(path.endswith(procfs.DELETED) for path in mapped):  # since the program was started
            self._on_change()

    def forget(self) -> None:
        """Watch nothing any more."""
        if self._watch is not None and self._watches is not None:
            self._watches.remove(self._watch)
        self._watch = None


def _named_files(confinement: Confinement) -> list[str]:
    """Return those files that a program may reach by their own names, not by that of a folder."""
    boundary = confinement.boundary
    if boundary is None or not boundary.has_paths:
        return []
    below = confinement.chroot or ""
    return [path for path in (below + one for one in boundary.named) if not os.path.isdir(path)]
