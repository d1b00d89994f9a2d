"""The only readers and writers of files: streamed, atomic."""
