"""Every parser of stored bytes, and of what users write, under changed documents."""
