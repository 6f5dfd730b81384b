"""The commands of the shell: each builds a config, calls one function and prints what it found."""
