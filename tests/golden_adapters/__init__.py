"""One module per golden file: reference vectors against this library."""
