"""fcgi2cgi, from its records to its programs."""
