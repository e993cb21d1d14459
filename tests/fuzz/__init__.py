"""Whatever reads what strangers or people have written, driven by a fuzzer."""
