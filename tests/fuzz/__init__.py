"""The decoders of the wrappers, driven by a fuzzer."""
