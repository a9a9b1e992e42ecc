"""Programs: loops of statements, as data; what is done with them is in a file each."""
