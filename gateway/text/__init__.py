"""From a client's characters to what an engine can read: chunks, and their spoken form."""
