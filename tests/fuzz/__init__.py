"""Long fuzz runs: `make fuzz`, or FUZZ_SECONDS=60 make fuzz; a short slice runs as a test."""
