"""Speed and memory of our command line beside stock restic and borg, in one run."""
