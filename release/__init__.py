"""What makes a release of what is in the repository: wheels, a package of Debian, an image."""
