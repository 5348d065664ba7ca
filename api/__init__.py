"""The faces: REST, events, the page, the command line; and the place where everything is wired."""
