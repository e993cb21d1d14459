"""CGI programs behind real web servers."""
