"""What the operating system gives: accounts, descriptors, files of our own, /proc."""
