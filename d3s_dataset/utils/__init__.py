"""What every package shares and no other room is about: command lines, atomic files, names and files from strangers."""
