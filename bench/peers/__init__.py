"""What talks to the server: good clients, and the servers themselves."""
