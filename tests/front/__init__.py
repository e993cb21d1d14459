"""Tests of CGI programs behind SCGI."""
