"""Audio files → manifest: where recordings come from, what their names say, what is in them, which are refused."""
