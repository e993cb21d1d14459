"""Put any program that reads stdin and writes stdout behind a socket."""

__version__ = "2.0.0.dev0"
