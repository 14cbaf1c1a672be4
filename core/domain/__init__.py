"""The nouns, a reply's states, settings, permissions and errors; and the ports: the store, the platform."""
